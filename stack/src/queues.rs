//! Queues, as far as something is sent to them: the destinations of records that were given up.
//!
//! Each is a file of JSON lines in the data directory, so that nothing is lost and anybody can look.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use crate::template;

/// The queues of the template.
#[derive(Debug)]
pub struct Queues {
    directory: PathBuf,
    queues: Vec<template::Queue>,
    writing: Mutex<()>,
}

impl Queues {
    /// Keeps the queues' messages in `directory`.
    ///
    /// # Errors
    /// When the directory cannot be made.
    pub fn new(directory: PathBuf, queues: Vec<template::Queue>) -> io::Result<Queues> {
        std::fs::create_dir_all(&directory)?;
        Ok(Queues {
            directory,
            queues,
            writing: Mutex::new(()),
        })
    }

    /// Sends a message to a queue.
    ///
    /// # Errors
    /// When there is no such queue, or the message cannot be kept.
    pub fn send(&self, arn: &str, message: &Value) -> io::Result<()> {
        let queue = self.queues.iter().find(|queue| queue.arn == arn);
        let queue = queue
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "there is no such queue"))?;
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.file(&queue.logical_id))?;
        file.write_all(format!("{message}\n").as_bytes())
    }

    /// The messages of a queue, by its logical id; none when there is no such queue.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn messages(&self, logical_id: &str) -> io::Result<Option<Vec<Value>>> {
        if !self
            .queues
            .iter()
            .any(|queue| queue.logical_id == logical_id)
        {
            return Ok(None);
        }
        let file = match File::open(self.file(logical_id)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Some(Vec::new())),
            Err(error) => return Err(error),
        };
        let lines = BufReader::new(file)
            .lines()
            .collect::<io::Result<Vec<_>>>()?;
        // A line that was cut by a crash is no message.
        Ok(Some(
            lines
                .iter()
                .filter_map(|line| serde_json::from_str(line).ok())
                .collect(),
        ))
    }

    fn file(&self, logical_id: &str) -> PathBuf {
        self.directory.join(format!("{logical_id}.jsonl"))
    }
}
