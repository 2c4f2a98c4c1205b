"""What has to hold of the template that no linter knows: code, routes, mappings, the page."""

import json
import re
from pathlib import Path

HERE = Path(__file__).parent


def of_source(source):
    """Findings in the template as it is written."""
    return check_code(source) + check_event_paths(source) + check_filters(source) + check_mappings(source)


def of_translated(translated):
    """Findings in what SAM makes of it."""
    return (
        check_invocations(translated)
        + check_schedules(translated)
        + check_urls(translated)
        + check_webhook_methods(translated)
        + check_webhook_path(translated)
        + check_destinations(translated)
        + check_loops(translated)
        + check_names(translated)
        + check_page(translated)
        + check_managed_policies(translated)
    )


def of_type(template, kind):
    return {name: it for name, it in template["Resources"].items() if it["Type"] == kind}


def named(value, candidates):
    """The candidates that a value refers to, by whichever intrinsic function."""
    words = re.findall(r"\w+", json.dumps(value))
    return [name for name in candidates if name in words]


def check_code(source):
    """`sam build` runs cargo in CodeUri, where the wanted program has to be a package's own."""
    found = []
    for name, function in of_type(source, "AWS::Serverless::Function").items():
        code = HERE / function["Properties"].get("CodeUri", "")
        binary = function.get("Metadata", {}).get("BuildProperties", {}).get("Binary")
        if not (code / "Cargo.toml").is_file():
            found.append(f"{name}: CodeUri has no Cargo.toml: {code}")
        if binary != code.name:
            found.append(f"{name}: Binary is {binary}, but CodeUri is the package {code.name}")
    return found


def events(source):
    """Each event of each function: its place, the function, its type and its properties."""
    for name, function in of_type(source, "AWS::Serverless::Function").items():
        for event, it in function["Properties"].get("Events", {}).items():
            yield f"{name}.{event}", function["Properties"], it["Type"], it.get("Properties", {})


def check_event_paths(source):
    """An HTTP API's import drops a route that ends with a slash, without saying so."""
    return [
        f"{name}: the path {properties['Path']} ends with a slash"
        for name, _, kind, properties in events(source)
        if kind == "HttpApi" and str(properties.get("Path", "")).endswith("/")
    ]


def check_filters(source):
    """A filter pattern is text to CloudFormation; AWS refuses it only while deploying."""
    found = []
    for name, _, _, properties in events(source):
        for each in properties.get("FilterCriteria", {}).get("Filters", []):
            try:
                pattern = json.loads(each["Pattern"])
            except ValueError as error:
                found.append(f"{name}: the filter pattern is not JSON: {error}")
                continue
            found += [f"{name}: the filter pattern's {field} is not a list" for field in unlisted(pattern)]
    return found


def unlisted(pattern, field=""):
    """The fields of a pattern whose leaf is not a list that is not empty."""
    if isinstance(pattern, dict) and pattern:
        return [bad for key, it in pattern.items() for bad in unlisted(it, f"{field}.{key}".lstrip("."))]
    return [] if isinstance(pattern, list) and pattern else [field or "root"]


def check_mappings(source):
    """What every stream or queue that feeds a function needs."""
    found = []
    shared = source.get("Globals", {}).get("Function", {})
    for name, function, kind, properties in events(source):
        if kind not in ("DynamoDB", "Kinesis", "SQS"):
            continue
        # Without it, Lambda ignores which records failed.
        if "ReportBatchItemFailures" not in properties.get("FunctionResponseTypes", []):
            found.append(f"{name}: FunctionResponseTypes has no ReportBatchItemFailures")
        if kind == "SQS":
            timeout = function.get("Timeout", shared.get("Timeout", 3))
            found += check_queue(source, name, properties, timeout)
        else:
            found += check_stream(source, name, properties)
    return found


def check_queue(source, name, properties, timeout):
    """A message that becomes visible while it is worked on is worked on twice. AWS advises
    six times the function's timeout, plus the batching window ("Configuring a queue to use
    with Lambda")."""
    wanted = 6 * timeout + properties.get("MaximumBatchingWindowInSeconds", 0)
    queues = of_type(source, "AWS::SQS::Queue")
    found = []
    for queue in named(properties.get("Queue"), queues):
        visible_after = queues[queue].get("Properties", {}).get("VisibilityTimeout", 30)
        if visible_after < wanted:
            found.append(f"{name}: {queue}.VisibilityTimeout is {visible_after}, under 6 x Timeout: {wanted}")
        if "RedrivePolicy" not in queues[queue].get("Properties", {}):
            found.append(f"{name}: {queue} has no RedrivePolicy, so a bad message comes for ever")
    return found


def check_stream(source, name, properties):
    """A record that always fails holds its shard, unless there is a bound and a place for it."""
    found = []
    tables = of_type(source, "AWS::DynamoDB::Table")
    for table in named(properties.get("Stream"), tables):
        view = tables[table]["Properties"].get("StreamSpecification", {}).get("StreamViewType", "")
        if "NEW" not in view:
            found.append(f"{name}: the stream of {table} carries {view or 'nothing'}, and no new images")
    for bound in ("MaximumRetryAttempts", "MaximumRecordAgeInSeconds"):
        if properties.get(bound, -1) == -1:
            found.append(f"{name}: {bound} has no bound")
    if not properties.get("DestinationConfig", {}).get("OnFailure"):
        found.append(f"{name}: records that are given up go nowhere")
    return found


def check_invocations(translated):
    """Every route leads to a function that exists and lets the gateway call it."""
    functions = of_type(translated, "AWS::Lambda::Function")
    permissions = of_type(translated, "AWS::Lambda::Permission")
    apis = of_type(translated, "AWS::ApiGatewayV2::Api")
    allowed, found = set(), []
    for name, permission in permissions.items():
        if is_of_url(permission):
            continue
        targets = named(permission["Properties"]["FunctionName"], functions)
        allowed.update(targets)
        if not targets or not named(permission["Properties"].get("SourceArn"), apis):
            found.append(f"{name}: lets nobody call a function of this template")
    for route, targets in routes(translated).items():
        called = [name for target in targets for name in named(target, functions)]
        found += [] if called else [f"{route}: leads to no function"]
        found += [f"{route}: {name} has no permission" for name in called if name not in allowed]
    return found


def is_of_url(permission):
    """Whether it lets anybody call a function by its own URL, and in no other way."""
    properties = permission["Properties"]
    return "FunctionUrlAuthType" in properties or properties.get("InvokedViaFunctionUrl") is True


def check_urls(translated):
    """A function's own URL answers 403 to everybody without both permissions, the second since
    October 2025 ("Control access to Lambda function URLs"). Who waits behind one takes a place for
    minutes, so that there has to be a bound."""
    functions = of_type(translated, "AWS::Lambda::Function")
    permissions = of_type(translated, "AWS::Lambda::Permission").values()
    found = []
    for name, url in of_type(translated, "AWS::Lambda::Url").items():
        for function in named(url["Properties"]["TargetFunctionArn"], functions):
            allowed = {
                it["Properties"]["Action"]
                for it in permissions
                if is_of_url(it) and named(it["Properties"]["FunctionName"], [function])
            }
            missing = sorted({"lambda:InvokeFunctionUrl", "lambda:InvokeFunction"} - allowed)
            found += [f"{name}: nobody has the permission {action} on {function}" for action in missing]
            if "ReservedConcurrentExecutions" not in functions[function]["Properties"]:
                found.append(f"{name}: {function} has no ReservedConcurrentExecutions")
        if url["Properties"].get("InvokeMode") != "RESPONSE_STREAM":
            found.append(f"{name}: InvokeMode is not RESPONSE_STREAM, so that nothing comes before the end")
    return found


def routes(translated):
    """All routes of all APIs, with the addresses that they lead to."""
    integrations = of_type(translated, "AWS::ApiGatewayV2::Integration")
    found = {}
    for name, route in of_type(translated, "AWS::ApiGatewayV2::Route").items():
        targets = named(route["Properties"].get("Target"), integrations)
        found[name] = [integrations[it]["Properties"]["IntegrationUri"] for it in targets]
    for api, path, method, uri in http_routes(translated):
        found[f"{api} {method} {path}"] = [uri]
    return found


def http_routes(translated):
    for api, it in of_type(translated, "AWS::ApiGatewayV2::Api").items():
        for path, methods in it["Properties"].get("Body", {}).get("paths", {}).items():
            for method, operation in methods.items():
                yield api, path, method, operation.get("x-amazon-apigateway-integration", {}).get("uri")


def check_webhook_methods(translated):
    """Mandrill asks with HEAD before it accepts an address, and some type a slash at its end."""
    path = translated["Parameters"]["WebhookPath"]["Default"]
    return [
        f"{method.upper()} {asked} does not reach WebhookFunction, but {reached or 'nothing'}"
        for method in ("head", "post")
        for asked in (path, f"{path}/")
        if (reached := reaches(translated, method, asked)) != ["WebhookFunction"]
    ]


def check_webhook_path(translated):
    """Posts to a path that another route takes would never reach the webhook."""
    pattern = re.compile(translated["Parameters"]["WebhookPath"]["AllowedPattern"])
    taken = {path.split("/{")[0] for _, path, _, _ in http_routes(translated) if path.startswith("/")}
    return [
        f"WebhookPath may be {path}, where another route answers"
        for base in sorted(taken)
        for path in (base, f"{base}/", f"{base}/x")
        if pattern.fullmatch(path)
    ]


def reaches(translated, method, path):
    """The functions that an HTTP API leads a request to: the route with this very path, else the
    catch-all. (A route with variables would come in between; none has the webhook's path.)"""
    functions = of_type(translated, "AWS::Lambda::Function")
    known = {(route, verb): uri for _, route, verb, uri in http_routes(translated)}
    for key in ((path, method), (path, ANY), ("$default", ANY)):
        if key in known:
            return named(known[key], functions)
    return []


ANY = "x-amazon-apigateway-any-method"


def check_destinations(translated):
    """Where a mapping gives records up to, its function's role has to be allowed to write. SAM
    grants it only when it is told the destination's Type, and no linter misses it."""
    needed = {"AWS::S3::Bucket": {"s3:PutObject", "s3:ListBucket"}, "AWS::SQS::Queue": {"sqs:SendMessage"}}
    places = {name: it["Type"] for name, it in translated["Resources"].items() if it["Type"] in needed}
    functions = of_type(translated, "AWS::Lambda::Function")
    found = []
    for name, mapping in of_type(translated, "AWS::Lambda::EventSourceMapping").items():
        target = mapping["Properties"].get("DestinationConfig", {}).get("OnFailure", {}).get("Destination")
        for function in named(mapping["Properties"]["FunctionName"], functions):
            granted = granted_actions(translated, functions[function])
            for place in named(target, places):
                for action in sorted(needed[places[place]] - granted.get(place, set())):
                    found.append(f"{name}: {function} has no right to {action} on {place}")
    return found


def granted_actions(translated, function):
    """The actions that a function's role allows, by the resources that they are allowed on."""
    granted = {}
    roles = of_type(translated, "AWS::IAM::Role")
    for role in named(function["Properties"]["Role"], roles):
        for policy in roles[role]["Properties"].get("Policies", []):
            for statement in policy["PolicyDocument"]["Statement"]:
                actions = statement["Action"]
                for place in named(statement["Resource"], translated["Resources"]):
                    granted.setdefault(place, set()).update([actions] if isinstance(actions, str) else actions)
    return granted


def check_schedules(translated):
    """EventBridge invokes without waiting. Lambda keeps what it cannot run then for six hours, unless
    it is told, and runs all of it at once ("How Lambda handles errors and retries with asynchronous
    invocation")."""
    functions = of_type(translated, "AWS::Lambda::Function")
    bounded = {
        function
        for config in of_type(translated, "AWS::Lambda::EventInvokeConfig").values()
        if "MaximumEventAgeInSeconds" in config["Properties"]
        for function in named(config["Properties"]["FunctionName"], functions)
    }
    targets = [it["Properties"]["Target"] for it in of_type(translated, "AWS::Scheduler::Schedule").values()]
    for rule in of_type(translated, "AWS::Events::Rule").values():
        targets += rule["Properties"]["Targets"]
    return [
        f"{function}: is invoked by a schedule, and MaximumEventAgeInSeconds has no bound"
        for target in targets
        for function in named(target["Arn"], functions)
        if function not in bounded
    ]


def check_loops(translated):
    """Lambda stops a function that its own messages have invoked about 16 times in a row, unless it
    says RecursiveLoop: Allow. It follows them through queues, topics and buckets, and not through
    tables ("Use Lambda recursive loop detection to prevent infinite loops")."""
    functions = of_type(translated, "AWS::Lambda::Function")
    queues = of_type(translated, "AWS::SQS::Queue")
    invoked = {queue: set() for queue in queues}
    for mapping in of_type(translated, "AWS::Lambda::EventSourceMapping").values():
        for queue in named(mapping["Properties"]["EventSourceArn"], queues):
            invoked[queue].update(named(mapping["Properties"]["FunctionName"], functions))
    follows = {
        name: {
            next
            for queue, actions in granted_actions(translated, function).items()
            if "sqs:SendMessage" in actions
            for next in invoked.get(queue, ())
        }
        for name, function in functions.items()
    }
    return [
        f"{name}: its messages invoke it again, and RecursiveLoop is not Allow"
        for name, function in functions.items()
        if name in reached(follows, name) and function["Properties"].get("RecursiveLoop") != "Allow"
    ]


def reached(follows, start):
    """What can follow, at any distance."""
    found, open_ends = set(), {start}
    while open_ends:
        found |= (open_ends := {it for end in open_ends for it in follows[end]} - found)
    return found


# What is named within something that has a name of its own.
INNER_TYPES = {"AWS::ApiGatewayV2::Stage", "AWS::ApiGateway::Stage", "AWS::Lambda::Alias"}


def check_names(translated):
    """A literal name is taken when a second stack comes to the same account and region. So each
    contains the stack's, or what its deployer has chosen."""
    owners = [*translated["Resources"], *translated.get("Parameters", {}), "AWS::StackName", "AWS::StackId"]
    return [
        f"{resource}: {path} is {json.dumps(value)}, and a second stack cannot have it"
        for resource, path, value in names(translated)
        if not any(re.search(rf"(?<![\w:]){owner}(?!\w)", json.dumps(value)) for owner in owners)
        or isinstance(value, str)
    ]


def names(translated):
    """Each name that the template gives to something, with the resource and the property."""
    for resource, it in translated["Resources"].items():
        kind = it["Type"].rpartition("::")[2]
        properties = it.get("Properties", {})
        for path, value in properties.items():
            if path in ("Name", f"{kind}Name") and it["Type"] not in INNER_TYPES:
                yield resource, path, value
            elif path.endswith("Config") and isinstance(value, dict) and "Name" in value:
                yield resource, f"{path}.Name", value["Name"]
    for output, it in translated.get("Outputs", {}).items():
        if "Export" in it:
            yield output, "Export.Name", it["Export"]["Name"]


def check_page(translated):
    """The page is as safe from CloudFront as it says itself, but may connect to less."""
    page = re.search(r'Content-Security-Policy" content="([^"]*)"', (HERE / "../dashboard/index.html").read_text("utf-8"))
    own = directives(page[1])
    found = []
    for name, policy in of_type(translated, "AWS::CloudFront::ResponseHeadersPolicy").items():
        headers = policy["Properties"]["ResponseHeadersPolicyConfig"]["SecurityHeadersConfig"]
        sent = headers["ContentSecurityPolicy"]["ContentSecurityPolicy"]
        sent = directives(sent["Fn::Sub"][0] if isinstance(sent, dict) else sent)
        for directive in sorted(own.keys() | {"frame-ancestors"}):
            if directive == "frame-ancestors":
                right = sent.get(directive) == "'none'"
            elif directive == "connect-src":
                right = sent.get(directive, "").startswith("'self' ") and ":" not in sent[directive]
            else:
                right = sent.get(directive) == own[directive]
            found += [] if right else [f"{name}: {directive} is not as the page needs it"]
    return found


# CloudFront's own policies, which are only known by these ids. ("Use managed cache policies", "Use
# managed origin request policies".)
MANAGED_POLICIES = {
    "CachePolicyId": {
        "658327ea-f89d-4fab-a63d-7e88639e58f6",  # CachingOptimized
        "4135ea2d-6df8-44a3-9df3-4b5a84be39ad",  # CachingDisabled
    },
    "OriginRequestPolicyId": {
        "b689b0a8-53d0-40ab-baf2-68738e2966ac",  # AllViewerExceptHostHeader
    },
}


def check_managed_policies(translated):
    """An id that is mistyped is found by AWS alone, after minutes of deploying."""
    found = []
    for name, distribution in of_type(translated, "AWS::CloudFront::Distribution").items():
        config = distribution["Properties"]["DistributionConfig"]
        for behavior in [config["DefaultCacheBehavior"], *config.get("CacheBehaviors", [])]:
            found += [
                f"{name}: {kind} {behavior[kind]} is no policy of CloudFront's that is known here"
                for kind, ids in MANAGED_POLICIES.items()
                if kind in behavior and behavior[kind] not in ids
            ]
    return found


def directives(policy):
    """A Content-Security-Policy as a map."""
    parts = (part.strip().partition(" ") for part in policy.split(";"))
    return {name: value.strip() for name, _, value in parts if name}
