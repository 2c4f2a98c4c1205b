//! Why a stack does not start.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::dynamodb::{CreateError, OpenError};
use crate::functions::FunctionError;
use crate::s3::S3Error;
use crate::sqs::SqsError;
use crate::template::TemplateError;

/// Why a stack does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The port is taken.
    #[error("cannot listen on {0}, which another program uses: `--port 0` takes any that is free")]
    PortTaken(SocketAddr),
    /// The address is not ours, or the port not for everybody.
    #[error("cannot listen on {0}")]
    Listen(SocketAddr, #[source] io::Error),
    /// The data directory cannot be used.
    #[error("cannot use the data directory {0}")]
    DataDirectory(PathBuf, #[source] io::Error),
    /// Another process is using the data directory.
    #[error("another local stack is using the data directory {0}")]
    InUse(PathBuf),
    /// The template, or a parameter's value, is wrong.
    #[error("the template cannot be used")]
    Template(#[from] TemplateError),
    /// The database does not open.
    #[error("the database does not open")]
    Database(#[from] OpenError),
    /// The objects cannot be had.
    #[error("the objects cannot be had")]
    Objects(#[from] S3Error),
    /// The queues cannot be had.
    #[error("the queues cannot be had")]
    Queues(#[from] SqsError),
    /// A table cannot be made.
    #[error("a table cannot be made")]
    Table(#[from] CreateError),
    /// A function cannot be made.
    #[error("a function cannot be made")]
    Function(#[from] FunctionError),
}
