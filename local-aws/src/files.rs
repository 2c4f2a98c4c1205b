//! The files of a data directory. They hold keys and people's addresses: only their owner can read
//! them, whatever the umask is.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use serde::{Serialize, de::DeserializeOwned};

/// Where the stack is to be found; it is there while the stack answers.
pub const STACK: &str = "stack.json";
/// The variables for `cargo lambda watch`.
pub const FUNCTIONS_ENV: &str = "functions.env";
/// What stands for the functions' log group.
pub(crate) const FUNCTIONS_LOG: &str = "functions.log";
/// Keys and names.
pub(crate) const IDENTITY: &str = "identity.json";
const LOCK: &str = "lock";
const DATABASES: [&str; 4] = [
    "dynamodb.sqlite",
    "objects.sqlite",
    "queues.sqlite",
    "stack.sqlite",
];
/// What SQLite puts beside a database, with the database's rights.
const BESIDE: [&str; 2] = ["-wal", "-shm"];
/// A tool that asks whether the stack runs holds the lock for microseconds.
const LOCK_TRIES: usize = 5;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// Makes a data directory. One that is there is left as it is, since it may hold other things, too.
pub fn create(directory: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

/// Takes the rights of others from every file of ours. SQLite makes a database by the umask, so that
/// it finds an empty one, which is a database as well.
pub(crate) fn make_private(directory: &Path) -> io::Result<()> {
    for database in DATABASES {
        private().open(directory.join(database))?;
    }
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_file() && is_ours(&entry.file_name().to_string_lossy()) {
            restrict(&entry.path())?;
        }
    }
    Ok(())
}

fn is_ours(name: &str) -> bool {
    let database = BESIDE.iter().find_map(|beside| name.strip_suffix(beside));
    [STACK, FUNCTIONS_ENV, FUNCTIONS_LOG, IDENTITY, LOCK].contains(&name)
        || DATABASES.contains(&database.unwrap_or(name))
}

#[cfg(unix)]
fn restrict(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    match fs::set_permissions(path, fs::Permissions::from_mode(0o600)) {
        // SQLite removes its files when it likes.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        set => set,
    }
}

#[cfg(not(unix))]
fn restrict(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Opens a file for writing, or makes one that only its owner can read.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Holds a data directory for as long as the file is open. `None` if another process holds it.
pub fn lock(directory: &Path) -> io::Result<Option<File>> {
    let file = private().open(directory.join(LOCK))?;
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(Some(file)),
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Ok(None)
}

/// Whether no process holds a data directory that one has held.
pub fn is_abandoned(directory: &Path) -> bool {
    let file = File::open(directory.join(LOCK));
    file.is_ok_and(|file| file.try_lock_shared().is_ok())
}

/// Reads a JSON file. `None` if there is none.
pub(crate) fn read_json<T: DeserializeOwned>(
    directory: &Path,
    name: &str,
) -> io::Result<Option<T>> {
    match fs::read(directory.join(name)) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(io::Error::other),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes a JSON file, whole or not at all.
pub(crate) fn write_json<T: Serialize>(directory: &Path, name: &str, value: &T) -> io::Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(io::Error::other)?;
    write(directory, name, &(text + "\n"))
}

/// Writes a file, whole or not at all.
pub fn write(directory: &Path, name: &str, text: &str) -> io::Result<()> {
    let path = directory.join(name);
    let draft = path.with_extension("draft");
    let mut file = private().truncate(true).open(&draft)?;
    restrict(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&draft, path)
}

/// Removes a file, if it is there.
pub fn remove(directory: &Path, name: &str) -> io::Result<()> {
    match fs::remove_file(directory.join(name)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn only_files_of_ours_are_made_private() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let mode = |name: &str| {
            let metadata = directory.path().join(name).metadata().unwrap();
            metadata.permissions().mode() & 0o777
        };
        for name in [
            "identity.json",
            "queues.sqlite",
            "stack.sqlite-wal",
            "my.sqlite",
        ] {
            let path = directory.path().join(name);
            fs::write(&path, "").unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
        }
        make_private(directory.path()).unwrap();
        assert_eq!(mode("identity.json"), 0o600);
        assert_eq!(mode("queues.sqlite"), 0o600);
        assert_eq!(mode("stack.sqlite-wal"), 0o600);
        assert_eq!(mode("my.sqlite"), 0o644);
    }

    #[test]
    fn a_directory_is_abandoned_when_nobody_holds_it_any_more() {
        let directory = tempfile::tempdir().unwrap();
        assert!(!is_abandoned(directory.path()), "nobody has ever held it");
        let held = lock(directory.path()).unwrap();
        assert!(held.is_some() && !is_abandoned(directory.path()));
        assert!(lock(directory.path()).unwrap().is_none());
        drop(held);
        assert!(is_abandoned(directory.path()));
    }
}
