//! The guard: the sidecar that stands between an application and its primary database.
//!
//! Read the modules in this order, which is the order in which a statement meets them. `run` puts
//! them together and is the only one that sees all parts; `session` owns the order of things for
//! one client, and nothing it calls calls it back.

pub mod config;
pub mod run;
pub mod runtime;
pub mod shared;
pub mod swapped;

pub mod account;
pub mod listener;
pub mod secret;
pub mod seldom;
pub mod stream;
pub mod tls;
pub mod users;

pub mod postgres;

pub mod session;

pub mod ddl;
pub mod hot;

pub mod gate;

pub mod herd;
pub mod melt;
pub mod memory;
pub mod observer;
pub mod pressure;
pub mod recorder;
pub mod replica;
pub mod upstream;

pub mod engine;
pub mod mysql;

pub mod admin;
pub mod control;
pub mod glance;
pub mod live;
pub mod log;
pub mod metrics;
pub mod notify;
pub mod operations;

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    /// Names and code of all files of this crate, tests and comments apart.
    fn sources(folder: &Path, found: &mut Vec<(String, String)>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                sources(&path, found);
            } else if name != "tests.rs" {
                let text = fs::read_to_string(&path).unwrap();
                let code = text.split("#[cfg(test)]").next().unwrap_or_default();
                let is_code = |line: &&str| !line.trim_start().starts_with("//");
                found.push((name, code.lines().filter(is_code).collect::<Vec<_>>().join("\n")));
            }
        }
    }

    fn crate_sources() -> Vec<(String, String)> {
        let mut found = Vec::new();
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
        found
    }

    #[test]
    fn invariant_6_only_control_ends_what_runs_on_the_server() {
        let sources = crate_sources();
        for (text, only) in [
            ("\"KILL ", "courier.rs"),
            ("pg_cancel_backend(ask", "courier.rs"),
            ("pg_terminate_backend(ask", "courier.rs"),
            // What follows an order that did not get through.
            ("connect::cancel(", "stop.rs"),
        ] {
            let found = sources.iter().filter(|(_, code)| code.contains(text));
            assert_eq!(found.map(|(name, _)| name).collect::<Vec<_>>(), [only], "{text}");
        }
    }

    /// A value of a label that nothing counts is a graph that is always flat.
    #[test]
    fn every_value_of_a_label_is_counted_somewhere() {
        let sources = crate_sources();
        let (_, labels) = sources.iter().find(|(name, _)| name == "label.rs").unwrap();
        let (_, table) = labels.split_once("labels! {").unwrap();
        let mut label = "";
        for line in table.lines().take_while(|line| *line != "}") {
            let Some((word, _)) = line.trim().split_once(' ') else { continue };
            if line.contains(" as \"") {
                label = word;
            } else if line.contains(" = \"") {
                let value = format!("{label}::{word}");
                assert!(sources.iter().any(|(_, code)| code.contains(&value)), "{value}");
            }
        }
        assert_eq!(label, "Reload", "the last label of the table");
    }
}
