//! Whether a request is Mandrill's.

use http::{HeaderMap, StatusCode, header};
use mandrill::{Form, RawEvent};
use platform::http::HttpError;

use crate::request::Received;
use crate::settings::Settings;

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";

/// A POST that may be Mandrill's.
pub(crate) struct Candidate<'r> {
    received: &'r Received,
    /// The URL under which API Gateway saw the request. Rebuilding it is safe, since the key
    /// decides, and spares most people to configure it.
    url: Option<String>,
    body: BatchBody<'r>,
}

enum BatchBody<'r> {
    Form {
        form: Form<'r>,
        signature: Option<&'r str>,
    },
    /// An array of events, for tests by hand.
    Json(&'r [u8]),
}

/// A request that was let in.
pub(crate) struct Admitted {
    /// The name of the key that verified it, none when none was needed.
    pub(crate) webhook: Option<String>,
}

/// Why a request was not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// No key and no secret is configured.
    NotConfigured,
    /// The signature is missing or not one.
    Unsigned,
    /// The signature, or the secret in the URL, is not the right one.
    Mismatch,
    /// JSON is only taken with a secret in the URL.
    JsonNotTaken,
}

impl Refused {
    /// Whether the secret may have been changed since it was read.
    pub(crate) fn may_be_rotation(self) -> bool {
        match self {
            Refused::NotConfigured | Refused::Mismatch | Refused::JsonNotTaken => true,
            Refused::Unsigned => false,
        }
    }
}

impl From<Refused> for HttpError {
    fn from(refused: Refused) -> HttpError {
        match refused {
            Refused::NotConfigured => HttpError::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "not_configured",
                "no webhook key is configured: put Mandrill's key into webhook_keys of the secret",
            ),
            Refused::Unsigned => HttpError::new(
                StatusCode::FORBIDDEN,
                "bad_signature",
                "the header X-Mandrill-Signature is missing or not a signature",
            ),
            Refused::Mismatch => HttpError::new(
                StatusCode::FORBIDDEN,
                "bad_signature",
                "the signature, or the secret in the URL, does not match",
            ),
            Refused::JsonNotTaken => {
                unsupported("a JSON body is only taken with a URL secret; Mandrill posts a form")
            }
        }
    }
}

fn unsupported(message: &'static str) -> HttpError {
    HttpError::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported_media_type",
        message,
    )
}

fn not_a_batch() -> HttpError {
    HttpError::new(
        StatusCode::BAD_REQUEST,
        "not_a_batch",
        "the JSON body is not an array of events",
    )
}

impl<'r> Candidate<'r> {
    pub(crate) fn read(
        headers: &'r HeaderMap,
        received: &'r Received,
    ) -> Result<Candidate<'r>, HttpError> {
        let content_type = headers
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok());
        let media_type = content_type
            .and_then(|value| value.split(';').next())
            .map(str::trim)
            .unwrap_or_default();
        let body = received.body.as_slice();
        let body = if media_type.eq_ignore_ascii_case(FORM) {
            let signature = headers.get("x-mandrill-signature");
            BatchBody::Form {
                form: Form::parse(body),
                signature: signature.map(|value| value.to_str().unwrap_or_default()),
            }
        } else if media_type.eq_ignore_ascii_case(JSON) {
            BatchBody::Json(body)
        } else {
            return Err(unsupported(
                "Mandrill posts application/x-www-form-urlencoded",
            ));
        };
        Ok(Candidate {
            received,
            url: received.url(),
            body,
        })
    }

    /// Decides by the settings, before any JSON is looked at.
    pub(crate) fn admit(&self, settings: &Settings) -> Result<Admitted, Refused> {
        let has_url_secret = self.has_url_secret(settings);
        match &self.body {
            BatchBody::Json(_) => match has_url_secret {
                None => Err(Refused::JsonNotTaken),
                Some(false) => Err(Refused::Mismatch),
                Some(true) => Ok(Admitted { webhook: None }),
            },
            BatchBody::Form { form, signature } => {
                self.admit_form(settings, form, *signature, has_url_secret)
            }
        }
    }

    fn admit_form(
        &self,
        settings: &Settings,
        form: &Form<'_>,
        signature: Option<&str>,
        has_url_secret: Option<bool>,
    ) -> Result<Admitted, Refused> {
        let urls: Vec<&str> = settings
            .webhook_urls
            .iter()
            .map(|url| url.as_str())
            .chain(self.url.as_deref())
            .collect();
        if mandrill::is_creation_check(form, signature, &urls) {
            return Ok(Admitted { webhook: None });
        }
        match has_url_secret {
            Some(false) => return Err(Refused::Mismatch),
            None if settings.webhook_keys.is_empty() => return Err(Refused::NotConfigured),
            Some(true) if settings.webhook_keys.is_empty() => {
                tracing::warn!(
                    "A batch was let in by the secret in its URL alone: configure webhook_keys."
                );
                return Ok(Admitted { webhook: None });
            }
            Some(true) | None => {}
        }
        match mandrill::verify(form, signature, &urls, &settings.webhook_keys) {
            Ok(name) => Ok(Admitted {
                webhook: Some(name.to_owned()),
            }),
            Err(mandrill::SignatureError::Mismatch) => Err(Refused::Mismatch),
            Err(mandrill::SignatureError::Missing | mandrill::SignatureError::Malformed) => {
                Err(Refused::Unsigned)
            }
        }
    }

    /// Whether the URL has the secret that it should have; none when it needs none.
    fn has_url_secret(&self, settings: &Settings) -> Option<bool> {
        let secret = settings.url_secret.as_ref()?;
        let given = self.received.parameter(&secret.name).unwrap_or_default();
        Some(mandrill::secrets_match(&secret.value, &given))
    }

    /// The events of the batch. A form is never refused, whatever is in it: Mandrill would send it
    /// again, hold back those behind it, and in the end disable the webhook.
    pub(crate) fn events(&self) -> Result<Vec<RawEvent<'_>>, HttpError> {
        match &self.body {
            BatchBody::Form { form, .. } => Ok(form.events()),
            BatchBody::Json(json) => {
                let text = json.strip_prefix("\u{FEFF}".as_bytes()).unwrap_or(json);
                match text.trim_ascii_start().starts_with(b"[") {
                    true => Ok(mandrill::split(text)),
                    false => Err(not_a_batch()),
                }
            }
        }
    }
}
