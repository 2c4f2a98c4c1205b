//! What the options of `posthorn up` may say.

use std::net::IpAddr;

use crate::webhook;

/// With it Mandrill signs the post that tests a new webhook, and nothing else is accepted from it.
const CREATION_KEY: &str = "test-webhook";

/// An address to listen on.
pub(super) fn host(text: &str) -> Result<IpAddr, String> {
    let address = match text {
        "localhost" => "127.0.0.1",
        text => text.trim_start_matches('[').trim_end_matches(']'),
    };
    let parsed = address.parse();
    parsed
        .map_err(|_| "write an address, such as 127.0.0.1 or ::1; 0.0.0.0 is every one".to_owned())
}

/// A name that requests may have in `Host`.
pub(super) fn allowed_host(text: &str) -> Result<String, String> {
    let name = local_aws::host_name(text);
    name.ok_or_else(|| "write a name alone, such as name.example".to_owned())
}

/// A URL as it stands in Mandrill.
pub(super) fn webhook_url(text: &str) -> Result<String, String> {
    match webhook::check_url(text) {
        Ok(()) => Ok(text.to_owned()),
        Err(why) => Err(format!("{why}; write it as it stands in Mandrill")),
    }
}

/// `NAME=VALUE`.
pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    if name.is_empty() || value.is_empty() {
        return Err("write NAME=VALUE".to_owned());
    }
    Ok((name.to_owned(), value.to_owned()))
}

/// A parameter of a URL and its value.
pub(super) fn url_secret(text: &str) -> Result<(String, String), String> {
    let (name, value) = pair(text)?;
    if text.contains(char::is_control) {
        return Err("a URL has no control characters".to_owned());
    }
    Ok((name, value))
}

/// A shorter text before `=` at the end is a name whose key is missing, as `main=$UNSET` is to a
/// shell; Mandrill's keys have 22 characters.
const LEAST_PADDED_KEY: usize = 16;

/// `KEY`, or `NAME=KEY`; a key may end with `=`. The error does not repeat the key.
pub(super) fn webhook_key(text: &str) -> Result<(String, String), &'static str> {
    let (name, key) = match text.split_once('=') {
        Some((name, key)) if !key.trim_matches('=').is_empty() || name.len() < LEAST_PADDED_KEY => {
            (name, key)
        }
        _ => ("main", text),
    };
    if name.trim().is_empty() {
        return Err("a key's name is missing before the `=`");
    }
    if name.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err("a key's name has white space in it");
    }
    if key.trim_matches('=').is_empty() {
        return Err("a webhook key is empty: copy it from the webhook's page in Mandrill");
    }
    if key.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err("a webhook key has white space in it: copy the key alone");
    }
    if key == CREATION_KEY {
        return Err("this key is the one that everybody knows, and is never accepted");
    }
    Ok((name.to_owned(), key.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_may_have_a_name_and_may_end_with_an_equals_sign() {
        let key = |text| webhook_key(text).unwrap();
        assert_eq!(key("abc"), ("main".into(), "abc".into()));
        assert_eq!(key("eu=abc"), ("eu".into(), "abc".into()));
        let padded = "0123456789abcdef==";
        assert_eq!(key(padded), ("main".into(), padded.into()));
        assert_eq!(key("eu=abc=="), ("eu".into(), "abc==".into()));
    }

    #[test]
    fn a_key_that_can_be_none_is_refused_and_not_repeated() {
        for text in [
            "",
            "=",
            "==",
            " ",
            "a b",
            "abc\n",
            "eu=a b",
            "=abc",
            " =abc",
            "test-webhook",
            "main=",
            "main==",
            "a b=c",
        ] {
            let refused = webhook_key(text).unwrap_err();
            assert!(!refused.contains("abc"), "{text:?}: {refused}");
        }
    }

    #[test]
    fn an_address_to_listen_on_may_be_called_localhost() {
        assert_eq!(host("localhost"), Ok(IpAddr::from([127, 0, 0, 1])));
        assert!(host("[::1]").unwrap().is_loopback());
        assert!(host("name.example").is_err());
    }

    #[test]
    fn a_secret_in_the_url_is_a_pair() {
        let secret = url_secret("secret=q+Zx/8kT==");
        assert_eq!(secret, Ok(("secret".into(), "q+Zx/8kT==".into())));
        for text in ["", "try-me", "=try-me", "secret=", "a=b\n"] {
            assert!(url_secret(text).is_err(), "{text:?}");
        }
    }
}
