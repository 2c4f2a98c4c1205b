#!/usr/bin/env bash
# Uploads the page into the bucket of a stack that was deployed with Dashboard=on, with a
# config.json that says where that stack is. Needs the AWS CLI.
#
#   infra/deploy-page.sh [STACK]
set -euo pipefail
cd "$(dirname "$0")/../dashboard"
stack="${1:-posthorn}"

output() {
  aws cloudformation describe-stacks --stack-name "$stack" --output text \
    --query "Stacks[0].Outputs[?OutputKey=='$1'].OutputValue"
}

bucket="$(output DashboardBucketName)"
if [ -z "$bucket" ] || [ "$bucket" = None ]; then
  echo "$stack hosts no page: deploy it with Dashboard=on first" >&2
  exit 1
fi

# The names do not change with what is in the files, so browsers ask each time; what has not
# changed is answered with 304. Of CloudFront the same holds, so nothing has to be invalidated.
options=(--cache-control no-cache --only-show-errors)
aws s3 sync . "s3://$bucket" --delete --exclude '*' \
  --include '*.html' --include '*.css' --include '*.js' --include '*.svg' \
  --exclude posthorn-client.js "${options[@]}"
# The client package as it is committed; excluded above, as the page's folder does not have it.
aws s3 cp ../client/dist/posthorn-client.js "s3://$bucket/" --content-type text/javascript "${options[@]}"
# The API is under the page's own origin, the socket under its own.
printf '{"http":"/","ws":"%s"}\n' "$(output WebSocketUrl)" |
  aws s3 cp - "s3://$bucket/config.json" --content-type application/json "${options[@]}"
echo "The page is at $(output PageUrl)"
