//! The one AWS endpoint: every call of a function's SDK clients arrives here.
//!
//! It knows the caller by its access key, and refuses what the caller's policy does not allow. The
//! key is random and in nobody else's hands: that, and not the signature, is what keeps a stranger
//! out when the port is reachable from outside.

use std::collections::BTreeMap;
use std::str::Split;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::account::ACCOUNT_ID;
use crate::account::REGION;
use crate::answer::{Answer, answer_json};
use crate::bill::Bill;
use crate::dynamodb::DynamoDb;
use crate::faults::{CallFault, Faults, PostFault};
use crate::functions::recursion::TRACE_HEADER;
use crate::gateway::sockets::{NotSent, Sockets};
use crate::ids::request_id;
use crate::policies::{Caller, dynamodb_actions};
use crate::s3::{self, S3};
use crate::sqs::{Refusal, Sqs};

/// The largest message to a connection. ("Quotas for WebSocket APIs": message payload size.)
const MESSAGE_BYTES: usize = 128 * 1024;
const AMZ_JSON_1_0: &str = "application/x-amz-json-1.0";
const AMZ_JSON_1_1: &str = "application/x-amz-json-1.1";

/// What stands behind the endpoint.
#[derive(Debug)]
pub struct AwsEndpoint {
    /// DynamoDB.
    pub dynamodb: DynamoDb,
    /// S3.
    pub s3: S3,
    /// SQS.
    pub sqs: Sqs,
    /// Secrets Manager: each secret's text, by ARN.
    pub secrets: Mutex<BTreeMap<String, String>>,
    /// The management API's connections, and the stage under which they are.
    pub sockets: Arc<Sockets>,
    /// The stage of the WebSocket API.
    pub stage: String,
    /// Who may call, by access key.
    pub callers: BTreeMap<String, Arc<Caller>>,
    /// The WebSocket API's id.
    pub api_id: String,
    /// What goes wrong.
    pub faults: Arc<Faults>,
    /// What it costs.
    pub bill: Arc<Bill>,
}

/// Whether a request is a call of an SDK: it is signed as AWS requests are. Unlike other schemes, that
/// of AWS is known in this spelling only.
#[must_use]
pub fn is_call(headers: &HeaderMap) -> bool {
    headers
        .get(header::AUTHORIZATION)
        .is_some_and(|value| value.as_bytes().starts_with(b"AWS4-HMAC-SHA256 "))
}

/// The parts of a signature's credential: access key, day, region, service and `aws4_request`.
fn credential(headers: &HeaderMap) -> Option<Split<'_, char>> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (_, credential) = value.split_once("Credential=")?;
    Some(credential.split(',').next()?.split('/'))
}

/// The operation that a call of a JSON protocol names; of others, their method.
fn operation(parts: &Parts) -> &str {
    let target = parts.headers.get("x-amz-target");
    let target = target.and_then(|target| target.to_str().ok());
    let operation = target.and_then(|target| target.rsplit('.').next());
    operation.unwrap_or(parts.method.as_str())
}

impl AwsEndpoint {
    /// Who is calling; none when it is nobody.
    pub fn caller(&self, headers: &HeaderMap) -> Option<&Caller> {
        let key = credential(headers)?.next()?;
        self.callers.get(key).map(Arc::as_ref)
    }

    /// A function's role, by the function's logical id.
    pub fn role(&self, function: &str) -> Option<Arc<Caller>> {
        let mut callers = self.callers.values();
        callers.find(|caller| caller.name == function).cloned()
    }

    /// Answers a call, unless a test wants something to go wrong with it.
    pub async fn call(&self, caller: &Caller, parts: &Parts, body: Bytes) -> Answer {
        let fault = self.faults.call(&caller.name, operation(parts));
        let answer = match fault {
            Some(CallFault::Fail | CallFault::Crash) => None,
            Some(CallFault::FailAfter | CallFault::CrashAfter) | None => {
                Some(self.answer(caller, parts, body).await)
            }
        };
        match (fault, answer) {
            (None, Some(answer)) => answer,
            (Some(CallFault::Crash | CallFault::CrashAfter), _) => {
                self.faults.crash(&caller.name);
                // Nobody is left to read an answer.
                std::future::pending().await
            }
            _ => fault_of_the_service(),
        }
    }

    /// Answers a call as AWS does.
    async fn answer(&self, caller: &Caller, parts: &Parts, body: Bytes) -> Answer {
        // S3 has methods and paths, like `@connections`: the service stands in the signature.
        if credential(&parts.headers).and_then(|mut scope| scope.nth(3)) == Some("s3") {
            return self.s3(caller, parts, body).await;
        }
        match parts
            .headers
            .get("x-amz-target")
            .and_then(|target| target.to_str().ok())
        {
            Some(target) => match target.split_once('.') {
                Some(("DynamoDB_20120810", operation)) => {
                    self.dynamodb(caller, operation, body).await
                }
                Some(("AmazonSQS", operation)) => {
                    let trace = parts.headers.get(TRACE_HEADER);
                    let trace = trace.and_then(|trace| trace.to_str().ok());
                    self.sqs(caller, operation, &body, trace).await
                }
                Some(("secretsmanager", "GetSecretValue")) => self.get_secret_value(caller, &body),
                _ => fault(
                    StatusCode::BAD_REQUEST,
                    "UnknownOperationException",
                    "The local stack does not know this operation.",
                ),
            },
            None => self.connections(caller, parts, body).await,
        }
    }

    /// The secrets' texts, by ARN.
    pub fn secrets(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.secrets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn s3(&self, caller: &Caller, parts: &Parts, body: Bytes) -> Answer {
        if self.faults.s3_fails() {
            return s3::failed();
        }
        let answer = self.s3.call(caller, parts, body).await;
        if !answer.status().is_server_error() {
            match parts.method {
                Method::PUT => self.bill.s3_put(),
                _ => self.bill.s3_get(),
            }
        }
        answer
    }

    async fn sqs(
        &self,
        caller: &Caller,
        operation: &str,
        body: &[u8],
        trace: Option<&str>,
    ) -> Answer {
        match self.sqs.call(caller, operation, body, trace).await {
            Ok(text) => {
                self.bill.queue_request(body.len().max(text.len()));
                answer(StatusCode::OK, AMZ_JSON_1_0, text)
            }
            Err(refusal) => {
                if refusal.status == 400 {
                    self.bill.queue_request(body.len());
                }
                refused(&refusal)
            }
        }
    }

    async fn dynamodb(&self, caller: &Caller, operation: &str, body: Bytes) -> Answer {
        for (action, resource) in dynamodb_actions(REGION, operation, &body) {
            if let Err(denied) = caller.authorize(&action, &resource) {
                return fault(
                    StatusCode::BAD_REQUEST,
                    "AccessDeniedException",
                    &denied.to_string(),
                );
            }
        }
        let (status, body) = match self.dynamodb.call(operation, body).await {
            Ok(body) => (StatusCode::OK, body),
            Err(error) => (
                StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
                error.body,
            ),
        };
        answer(status, AMZ_JSON_1_0, body)
    }

    fn get_secret_value(&self, caller: &Caller, body: &[u8]) -> Answer {
        #[derive(Deserialize)]
        struct Request {
            #[serde(rename = "SecretId")]
            secret_id: String,
        }
        let Ok(request) = serde_json::from_slice::<Request>(body) else {
            return fault(
                StatusCode::BAD_REQUEST,
                "InvalidRequestException",
                "SecretId is missing.",
            );
        };
        let action = "secretsmanager:GetSecretValue";
        if let Err(denied) = caller.authorize(action, &request.secret_id) {
            return fault(
                StatusCode::BAD_REQUEST,
                "AccessDeniedException",
                &denied.to_string(),
            );
        }
        let Some(text) = self.secrets().get(&request.secret_id).cloned() else {
            return fault(
                StatusCode::BAD_REQUEST,
                "ResourceNotFoundException",
                "Secrets Manager can't find the specified secret.",
            );
        };
        self.bill.secret_call();
        let name = request.secret_id.rsplit(':').next().unwrap_or_default();
        let value = json!({
            "ARN": request.secret_id,
            "Name": name.rsplit_once('-').map_or(name, |(name, _)| name),
            "VersionId": request_id(),
            "VersionStages": ["AWSCURRENT"],
            "SecretString": text,
        });
        answer(StatusCode::OK, AMZ_JSON_1_1, value.to_string().into_bytes())
    }

    /// `/{stage}/@connections/{connection id}`: POST, GET, DELETE.
    async fn connections(&self, caller: &Caller, parts: &Parts, body: Bytes) -> Answer {
        let path = parts
            .uri
            .path()
            .strip_prefix('/')
            .and_then(|path| path.split_once('/'));
        let id = match path {
            Some((stage, rest)) if stage == self.stage => rest.strip_prefix("@connections/"),
            _ => None,
        };
        let Some(id) = id.and_then(|id| percent_decode_str(id).decode_utf8().ok()) else {
            return rest_fault(StatusCode::FORBIDDEN, "ForbiddenException", "Forbidden");
        };
        let resource = format!(
            "arn:aws:execute-api:{REGION}:{ACCOUNT_ID}:{}/{}/{}/@connections/{id}",
            self.api_id, self.stage, parts.method
        );
        if let Err(denied) = caller.authorize("execute-api:ManageConnections", &resource) {
            return rest_fault(
                StatusCode::FORBIDDEN,
                "ForbiddenException",
                &denied.to_string(),
            );
        }
        match parts.method {
            Method::POST => self.post(&id, body).await,
            Method::GET => self.get(&id),
            Method::DELETE if self.sockets.close(&id) => empty(StatusCode::NO_CONTENT),
            Method::DELETE => gone(),
            _ => rest_fault(StatusCode::FORBIDDEN, "ForbiddenException", "Forbidden"),
        }
    }

    async fn post(&self, id: &str, message: Bytes) -> Answer {
        if message.len() > MESSAGE_BYTES {
            return rest_fault(
                StatusCode::PAYLOAD_TOO_LARGE,
                "PayloadTooLargeException",
                "Message too long",
            );
        }
        match self.faults.post(id) {
            None => {}
            Some(PostFault::Throttle) => return too_slow(),
            Some(PostFault::Fail) => {
                return rest_fault(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "InternalServerError",
                    "Internal server error",
                );
            }
            Some(PostFault::Hang) => tokio::time::sleep(Duration::from_secs(60)).await,
        }
        let bytes = message.len();
        match self.sockets.send(id, message) {
            Ok(()) => {
                self.bill.message(bytes);
                empty(StatusCode::OK)
            }
            Err(NotSent::Gone) => gone(),
            Err(NotSent::TooSlow) => too_slow(),
        }
    }

    fn get(&self, id: &str) -> Answer {
        let Some(socket) = self.sockets.get(id) else {
            return gone();
        };
        let info = json!({
            "connectedAt": socket.connected_at,
            "identity": { "sourceIp": socket.source_ip, "userAgent": socket.user_agent },
            "lastActiveAt": socket.last_active_at(),
        });
        answer_json(StatusCode::OK, &info)
    }
}

/// The answer to a caller who is nobody.
#[must_use]
pub fn unrecognized() -> Answer {
    fault(
        StatusCode::FORBIDDEN,
        "UnrecognizedClientException",
        "The security token included in the request is invalid.",
    )
}

fn gone() -> Answer {
    rest_fault(StatusCode::GONE, "GoneException", "Gone")
}

fn too_slow() -> Answer {
    rest_fault(
        StatusCode::TOO_MANY_REQUESTS,
        "LimitExceededException",
        "Too many requests",
    )
}

fn empty(status: StatusCode) -> Answer {
    answer(status, "application/json", Vec::new())
}

/// An error as DynamoDB and Secrets Manager write it.
fn fault(status: StatusCode, kind: &str, message: &str) -> Answer {
    let body: Value = json!({ "__type": format!("com.amazonaws#{kind}"), "message": message });
    answer(status, AMZ_JSON_1_0, body.to_string().into_bytes())
}

fn fault_of_the_service() -> Answer {
    fault(
        StatusCode::INTERNAL_SERVER_ERROR,
        "InternalServerError",
        "As a test wants it.",
    )
}

/// An error as SQS writes it.
fn refused(refusal: &Refusal) -> Answer {
    let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = json!({ "__type": refusal.shape, "message": refusal.message });
    let mut answer = answer(status, AMZ_JSON_1_0, body.to_string().into_bytes());
    let code = format!("{};{}", refusal.code, refusal.fault());
    if let Ok(code) = HeaderValue::from_str(&code) {
        answer.headers_mut().insert("x-amzn-query-error", code);
    }
    answer
}

/// An error as API Gateway writes it.
fn rest_fault(status: StatusCode, kind: &'static str, message: &str) -> Answer {
    let mut answer = answer_json(status, &json!({ "message": message }));
    answer
        .headers_mut()
        .insert("x-amzn-errortype", HeaderValue::from_static(kind));
    answer
}

fn answer(status: StatusCode, content_type: &'static str, body: Vec<u8>) -> Answer {
    let mut answer = Answer::new(Bytes::from(body).into());
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}
