//! Lambda's detection of recursive loops. ("Use Lambda recursive loop detection to prevent infinite
//! loops".)
//!
//! Each invocation has a trace header, which the SDK forwards with every call, X-Ray or not. SQS
//! keeps it with the messages that are sent, and the `Lineage` in it says how often each function
//! has been invoked in this chain. DynamoDB does not carry it on, so a chain ends there.

use std::collections::BTreeMap;
use std::future::Future;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use data_encoding::HEXLOWER;
use md5::{Digest, Md5};
use tokio::task_local;

/// The header in which the SDK forwards the trace.
pub(crate) const TRACE_HEADER: &str = "x-amzn-trace-id";
/// How often a function may be invoked in a chain. ("approximately 16 times".)
pub(crate) const MOST: u32 = 16;

/// How often functions have been invoked in a chain, by a digest of their ARN.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Lineage(BTreeMap<String, u32>);

impl Lineage {
    /// Reads a trace header. Without a lineage, or with one that nobody can have written, a chain
    /// begins.
    pub(crate) fn read(trace: Option<&str>) -> Lineage {
        let mut fields = trace.unwrap_or_default().split(';');
        let lineage = fields.find_map(|field| field.trim().strip_prefix("Lineage="));
        let counts = lineage.unwrap_or_default().split('|');
        let count = |text: &str| {
            let (function, count) = text.split_once(':')?;
            Some((function.to_owned(), count.parse().ok()?))
        };
        Lineage(counts.filter_map(count).collect())
    }

    /// How often this function has been invoked.
    pub(crate) fn count(&self, arn: &str) -> u32 {
        self.0.get(&digest(arn)).copied().unwrap_or(0)
    }

    /// That of an invocation by several messages: the longer chain counts.
    pub(crate) fn join(&mut self, other: &Lineage) {
        for (function, count) in &other.0 {
            let longest = self.0.entry(function.clone()).or_default();
            *longest = (*longest).max(*count);
        }
    }

    /// The field in the trace header of an invocation that this leads to.
    fn field_of(&self, arn: &str) -> String {
        let mut counts = self.0.clone();
        *counts.entry(digest(arn)).or_default() += 1;
        let counts: Vec<_> = counts
            .iter()
            .map(|(function, count)| format!("{function}:{count}"))
            .collect();
        format!("Lineage={}", counts.join("|"))
    }

    /// The trace header of an invocation that this leads to: one that is not sampled. ("Tracing
    /// header": version, time in hex, 96 random bits.)
    pub(crate) fn trace_of(&self, arn: &str) -> String {
        let seconds = crate::clock::now().as_secs();
        let (root, parent) = (fastrand::u128(..) >> 32, fastrand::u64(..));
        let lineage = self.field_of(arn);
        format!("Root=1-{seconds:08x}-{root:024x};Parent={parent:016x};{lineage};Sampled=0")
    }
}

fn digest(arn: &str) -> String {
    HEXLOWER.encode(&Md5::digest(arn)[..4])
}

task_local! {
    /// That of the invocation which runs in this task. A process of a function has it in the
    /// environment variable `_X_AMZN_TRACE_ID`, which functions in one process would share.
    static TRACE: String;
}

/// Runs an invocation in this process, whose calls carry its trace.
pub(crate) async fn traced<F: Future>(trace: Option<String>, invocation: F) -> F::Output {
    TRACE.scope(trace.unwrap_or_default(), invocation).await
}

/// A client for handlers in this process, which forwards the trace of the invocation that calls, as
/// the SDK does in Lambda. Without it no recursive loop is detected.
#[must_use]
pub fn forwarding(client: SharedHttpClient) -> SharedHttpClient {
    SharedHttpClient::new(Forwarding(client))
}

#[derive(Debug)]
struct Forwarding<C>(C);

impl HttpClient for Forwarding<SharedHttpClient> {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(Forwarding(self.0.http_connector(settings, components)))
    }
}

impl HttpConnector for Forwarding<SharedHttpConnector> {
    fn call(&self, mut request: HttpRequest) -> HttpConnectorFuture {
        if let Ok(trace) = TRACE.try_with(Clone::clone) {
            // Our own text, which every header takes.
            let _ = request.headers_mut().try_insert(TRACE_HEADER, trace);
        }
        self.0.call(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "arn:aws:lambda:us-east-1:000000000000:function:one";
    const OTHER: &str = "arn:aws:lambda:us-east-1:000000000000:function:other";

    #[test]
    fn each_invocation_of_a_chain_counts_for_its_function() {
        let mut lineage = Lineage::default();
        for number in 0..3 {
            assert_eq!(lineage.count(ONE), number);
            lineage = Lineage::read(Some(&lineage.trace_of(ONE)));
        }
        assert_eq!((lineage.count(ONE), lineage.count(OTHER)), (3, 0));
        lineage = Lineage::read(Some(&lineage.trace_of(OTHER)));
        assert_eq!((lineage.count(ONE), lineage.count(OTHER)), (3, 1));
    }

    #[test]
    fn of_messages_received_together_the_longest_chain_counts() {
        let chain = |length| {
            let mut lineage = Lineage::default();
            for _ in 0..length {
                lineage = Lineage::read(Some(&lineage.trace_of(ONE)));
            }
            lineage
        };
        let mut joined = chain(2);
        joined.join(&chain(5));
        joined.join(&Lineage::default());
        assert_eq!(joined.count(ONE), 5);
    }

    #[test]
    fn an_unreadable_trace_begins_a_chain() {
        for trace in [
            "",
            "Root=1-0-0",
            "Lineage=",
            "Lineage=a",
            "Lineage=a:b|:|::",
            "Lineage=a:-1",
            "nonsense",
        ] {
            assert_eq!(Lineage::read(Some(trace)).count(ONE), 0, "{trace}");
        }
        assert_eq!(Lineage::read(None), Lineage::default());
    }
}
