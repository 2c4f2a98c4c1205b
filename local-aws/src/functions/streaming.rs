//! Answers that come piece by piece: those of a function with a URL of its own that streams.
//! ("Response streaming for Lambda functions".)

use bytes::Bytes;
use tokio::sync::mpsc;

use super::error::{InvokeError, PAYLOAD_BYTES};

/// How many pieces wait for somebody who reads slowly, until the function waits as well.
const WAITING: usize = 16;

/// A part of an answer.
#[derive(Debug)]
pub enum Piece {
    /// The answer begins.
    Begin {
        /// Whether it says its status and headers first, as JSON with [`DELIMITER`] behind it.
        has_prelude: bool,
    },
    /// More of it.
    Data(Bytes),
    /// It is complete. One that ends without this was cut.
    End,
}

/// What is between an answer's prelude and its body. ("Using the Lambda runtime API for custom
/// runtimes": response streaming.)
pub const DELIMITER: [u8; 8] = [0; 8];

/// An answer that is being made; after an error nothing more comes.
#[derive(Debug)]
pub struct Pieces(mpsc::Receiver<Result<Piece, InvokeError>>);

impl Pieces {
    /// The next piece; none after the last.
    pub async fn next(&mut self) -> Option<Result<Piece, InvokeError>> {
        self.0.recv().await
    }

    /// The whole answer as one text, as for who waits for it.
    pub(super) async fn collect(mut self) -> Result<String, InvokeError> {
        let mut answer = Vec::new();
        let mut is_too_large = false;
        while let Some(piece) = self.next().await {
            match piece? {
                Piece::Begin { .. } => {}
                Piece::Data(data) if answer.len() + data.len() > PAYLOAD_BYTES => {
                    is_too_large = true;
                }
                Piece::Data(data) => answer.extend_from_slice(&data),
                Piece::End if is_too_large => return Err(InvokeError::answer_too_large()),
                Piece::End => return Ok(String::from_utf8_lossy(&answer).into_owned()),
            }
        }
        Err(InvokeError::failed("Unhandled", "Lambda panicked"))
    }
}

/// Where a function's answer goes. Whoever waits for it may be gone: the function is run to its end
/// all the same, as Lambda does.
#[derive(Debug, Clone)]
pub(crate) struct Outlet(mpsc::Sender<Result<Piece, InvokeError>>);

impl Outlet {
    pub(super) fn new() -> (Outlet, Pieces) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Outlet(sender), Pieces(receiver))
    }

    pub(super) async fn put(&self, piece: Piece) {
        let _ = self.0.send(Ok(piece)).await;
    }

    /// An answer that was made at once.
    pub(super) async fn put_whole(&self, answer: String) {
        self.put(Piece::Begin { has_prelude: false }).await;
        self.put(Piece::Data(answer.into())).await;
        self.put(Piece::End).await;
    }

    pub(super) async fn fail(&self, error: InvokeError) {
        let _ = self.0.send(Err(error)).await;
    }
}
