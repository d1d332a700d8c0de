//! The guard: the sidecar that stands between an application and its primary database.
//!
//! Read the modules in this order, which is the order in which a statement meets them. `run` puts
//! them together and is the only one that sees all parts; `session` owns the order of things for
//! one client, and nothing it calls calls it back.

pub mod config;
pub mod run;
pub mod shared;

pub mod listener;
pub mod login;
pub mod secret;
pub mod stream;
pub mod tls;
pub mod users;

pub mod session;

pub mod gate;

pub mod herd;
pub mod upstream;

pub mod admin;
pub mod control;
pub mod log;
pub mod metrics;
pub mod operations;

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    /// Every file of this crate that ends something on the server, tests apart.
    fn killers(folder: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                killers(&path, found);
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            let kills = code.lines().any(|line| {
                !line.trim_start().starts_with("//") && line.contains(concat!("\"KI", "LL "))
            });
            if kills {
                found.push(path.file_name().unwrap().to_string_lossy().into_owned());
            }
        }
    }

    #[test]
    fn invariant_6_only_control_ends_what_runs_on_the_server() {
        let mut found = Vec::new();
        killers(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
        assert_eq!(found, ["control.rs"]);
    }
}
