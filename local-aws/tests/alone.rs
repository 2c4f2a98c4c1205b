//! This package is for any template: it knows nothing of the rest of this repository.

#![cfg(test)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

#[test]
fn it_depends_on_no_package_of_this_repository() {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "--package", "local-aws"])
        .args(["--edges", "normal", "--prefix", "none"])
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&tree.stderr);
    assert!(tree.status.success(), "{error}");
    let tree = String::from_utf8(tree.stdout).unwrap();
    let here = tree.lines().filter(|line| line.contains("(/"));
    let others: Vec<_> = here
        .filter(|line| !line.starts_with("local-aws "))
        .collect();
    assert_eq!(others, Vec::<&str>::new());
}

#[test]
fn it_names_no_resource_of_the_template_of_this_repository() {
    let template = fs::read_to_string("../infra/template.yaml").unwrap();
    let names: BTreeSet<_> = template.lines().filter_map(name).collect();
    assert!(names.contains("EventsTable") && names.contains("PushFunction"));
    for file in sources(Path::new("src")) {
        let text = fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        let found = names.iter().find(|name| code.contains(**name));
        assert_eq!(found, None, "{}", file.display());
        let code = code.to_lowercase();
        let is_ours = code.contains("posthorn") || code.contains("mandrill");
        assert!(!is_ours, "{}", file.display());
    }
}

/// The name of a resource that the code could know, which stands two spaces deep.
fn name(line: &str) -> Option<&str> {
    let name = line.strip_prefix("  ")?.strip_suffix(':')?;
    let kinds = ["Bucket", "Function", "Queue", "Secret", "Table"];
    let start = kinds.iter().find_map(|kind| name.strip_suffix(kind))?;
    let is_name = !start.is_empty() && start.chars().all(char::is_alphanumeric);
    is_name.then_some(name)
}

/// All Rust files of a folder, without those of tests.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .filter(|path| path.file_stem().is_some_and(|stem| stem != "tests"))
        .flat_map(|path| {
            if path.is_dir() {
                sources(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}
