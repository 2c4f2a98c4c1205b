//! `posthorn sign` and `posthorn verify`: Mandrill's signature by hand.

use std::path::PathBuf;

use super::post::{form_body, signature};
use super::send::{as_batch, read, without_mark};
use super::target::{Secret, missing, read_stack, without_query};
use super::{ToolError, out};

/// What is signed, and the pairs of key and URL to sign it with.
#[derive(Debug, clap::Args)]
struct Signed {
    /// The form body (`mandrill_events=…`, taken as it is), or with --json a JSON file; `-` reads stdin
    #[arg(required_unless_present = "body")]
    file: Option<String>,
    /// The body itself in place of a file
    #[arg(long, conflicts_with = "file")]
    body: Option<String>,
    /// The input is the JSON of a batch, not a form body
    #[arg(long)]
    json: bool,
    /// Data directory of the local stack, for defaults
    #[arg(long, value_name = "DIR", default_value = ".posthorn")]
    data_dir: PathBuf,
    /// Webhook key [default: the local stack's]
    #[arg(long)]
    key: Vec<Secret>,
    /// Webhook URL exactly as typed into Mandrill [default: the local stack's]
    #[arg(long)]
    url: Vec<String>,
}

#[derive(Debug, clap::Args)]
pub struct SignArgs {
    #[command(flatten)]
    signed: Signed,
}

#[derive(Debug, clap::Args)]
pub struct VerifyArgs {
    #[command(flatten)]
    signed: Signed,
    /// The value of `X-Mandrill-Signature`
    #[arg(long, allow_hyphen_values = true)]
    signature: String,
}

/// Prints the signature under the first key and URL.
pub fn sign(args: SignArgs) -> Result<(), ToolError> {
    let body = args.signed.body()?;
    let (keys, urls) = args.signed.pairs()?;
    let (Some(key), Some(url)) = (keys.first(), urls.first()) else {
        return Err(missing(&args.signed.data_dir, "pass --key and --url"));
    };
    out::line(&signature(key, url, &body))
}

/// Prints which key and URL made the signature; fails if none did. Both options may be given several times.
pub fn verify(args: VerifyArgs) -> Result<(), ToolError> {
    let body = args.signed.body()?;
    let (keys, urls) = args.signed.pairs()?;
    match find(&keys, &urls, &body, args.signature.trim()) {
        Some((key, url)) => {
            let url = without_query(&urls[url]);
            out::line(&format!(
                "valid: key {} of {}, URL {url}",
                key + 1,
                keys.len()
            ))
        }
        None => {
            let (keys, urls) = (keys.len(), urls.len());
            Err(ToolError::Failed(format!(
                "not valid: made with none of {keys} key(s) for none of {urls} URL(s)"
            )))
        }
    }
}

impl Signed {
    fn body(&self) -> Result<String, ToolError> {
        let text = match (&self.body, &self.file) {
            (Some(body), _) => without_mark(body).to_owned(),
            (None, Some(file)) => read(file)?,
            (None, None) => return Err(ToolError::Usage("pass a file or --body".to_owned())),
        };
        if !self.json {
            return Ok(text);
        }
        let batch = as_batch(&text).map_err(|why| ToolError::Usage(format!("the input {why}")));
        Ok(form_body(&batch?))
    }

    fn pairs(&self) -> Result<(Vec<Secret>, Vec<String>), ToolError> {
        if !self.key.is_empty() && !self.url.is_empty() {
            return Ok((self.key.clone(), self.url.clone()));
        }
        let stack = read_stack(&self.data_dir)?;
        let stack = stack.ok_or_else(|| missing(&self.data_dir, "pass --key and --url"))?;
        let keys = if self.key.is_empty() {
            stack.webhook_keys
        } else {
            self.key.clone()
        };
        let urls = if self.url.is_empty() {
            stack.webhook_url.into_iter().collect()
        } else {
            self.url.clone()
        };
        Ok((keys, urls))
    }
}

fn find(keys: &[Secret], urls: &[String], body: &str, given: &str) -> Option<(usize, usize)> {
    let pairs = (0..keys.len()).flat_map(|key| (0..urls.len()).map(move |url| (key, url)));
    pairs
        .into_iter()
        .find(|&(key, url)| signature(&keys[key], &urls[url], body) == given)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Made with openssl: HMAC-SHA1 under `test-webhook` of the URL, the parameter's name and `[]`.
    const URL: &str = "https://hooks.example.com/mandrill/in";
    const CREATION_CHECK: &str = "Fw05qU8PGGdtsrS20R3d1DnxfuQ=";

    #[test]
    fn the_creation_check_has_the_known_signature() {
        assert_eq!(
            signature(&Secret::new("test-webhook"), URL, "mandrill_events=%5B%5D"),
            CREATION_CHECK
        );
        assert_eq!(
            signature(&Secret::new("test-webhook"), URL, &form_body("[]")),
            CREATION_CHECK
        );
    }

    #[test]
    fn the_pair_that_made_the_signature_is_found() {
        let keys = [Secret::new("other"), Secret::new("test-webhook")];
        let urls = ["https://hooks.example.com/".to_owned(), URL.to_owned()];
        assert_eq!(
            find(&keys, &urls, "mandrill_events=[]", CREATION_CHECK),
            Some((1, 1))
        );
        assert_eq!(
            find(&keys, &urls[..1], "mandrill_events=[]", CREATION_CHECK),
            None
        );
    }
}
