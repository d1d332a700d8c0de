//! What no single key can tell: names that must exist, sums against caps, the order of timeouts,
//! rules that can never match.

mod admin;
mod limits;
mod network;
mod recorder;
mod replicas;
mod rules;

use std::path::PathBuf;

use zeroize::Zeroizing;

use super::error::{ConfigError, ConfigErrors, Warning};
use super::source::{Key, Source};
use super::{AuthPlugin, Config, Loaded};
use crate::secret::Secret;

/// Collects what is found.
pub(super) struct Findings<'s> {
    source: &'s Source<'s>,
    errors: Vec<ConfigError>,
    warnings: Vec<Warning>,
}

impl<'s> Findings<'s> {
    pub(super) fn new(source: &'s Source<'s>) -> Self {
        Self { source, errors: Vec::new(), warnings: Vec::new() }
    }

    fn error(&mut self, key: &Key, why: impl Into<String>) {
        self.errors.push(self.source.finding(key, why).into());
    }

    fn warn(&mut self, key: &Key, why: impl Into<String>) {
        self.warnings.push(self.source.finding(key, why).into());
    }

    /// Whether the file has this key.
    fn is_given(&self, key: &Key) -> bool {
        self.source.is_given(key)
    }

    /// A whole number outside of `range` is an error.
    fn within(&mut self, key: &Key, number: u32, range: std::ops::RangeInclusive<u32>) {
        if !range.contains(&number) {
            let (least, most) = range.into_inner();
            self.error(key, format!("out of range; expected {least} to {most}"));
        }
    }

    /// A file that is named and cannot be read is an error.
    fn readable(&mut self, key: &Key, file: Option<&PathBuf>) {
        if let Some(Err(error)) = file.map(std::fs::File::open) {
            self.error(key, format!("cannot be read: {error}"));
        }
    }

    pub(super) fn finish(self, config: Config) -> Result<Loaded, ConfigErrors> {
        ConfigErrors::none_of(self.errors)?;
        Ok(Loaded { config, warnings: self.warnings })
    }
}

/// Reads the secrets that are named by file.
pub(super) fn read_secrets(config: &mut Config, findings: &mut Findings<'_>) {
    let control = &mut config.control;
    let file = control.password_file.as_ref();
    read_secret((&Key::of("control"), "password"), &mut control.password, file, findings);
    for (index, user) in config.users.iter_mut().enumerate() {
        let key = Key::of("user").item(index);
        let file = user.password_file.as_ref();
        read_secret((&key, "password"), &mut user.password, file, findings);
    }
    let admin = &mut config.admin;
    let file = admin.token_file.as_ref();
    read_secret((&Key::of("admin"), "token"), &mut admin.token, file, findings);
}

/// Reads the secret `name` of a section from `file`, which its key with `_file` behind it names.
fn read_secret(
    (section, name): (&Key, &str),
    secret: &mut Secret,
    file: Option<&PathBuf>,
    findings: &mut Findings<'_>,
) {
    let Some(file) = file else { return };
    let key = section.field(&format!("{name}_file"));
    if !secret.is_empty() {
        findings.error(&key, format!("given beside {name}; expected one of the two"));
        return;
    }
    match std::fs::read_to_string(file).map(Zeroizing::new) {
        Ok(text) => *secret = text.trim_end_matches(['\r', '\n']).into(),
        Err(error) => findings.error(&key, format!("cannot be read: {error}")),
    }
}

/// Checks everything, in the order of the file.
pub(super) fn check(config: &Config, findings: &mut Findings<'_>) {
    network::check(config, findings);
    admin::check(config, findings);
    replicas::check(config, findings);
    accounts(config, findings);
    limits::check(config, findings);
    rules::check(config, findings);
    recorder::check(config, findings);
    if let Err(why) = crate::log::parse_level(&config.log.level) {
        findings.error(&Key::of("log").field("level"), why);
    }
}

/// Whether anybody can log in, and as whom.
fn accounts(config: &Config, findings: &mut Findings<'_>) {
    let control = Key::of("control");
    if config.control.user.is_empty() {
        findings.error(&control.field("user"), "empty; expected the name of an account");
    }
    if config.control.password.is_empty() {
        findings.warn(
            &control.field("password"),
            "empty: the control account has no password; set password or password_file",
        );
    }
    findings.within(&control.field("connections"), config.control.connections, 2..=16);

    for (index, user) in config.users.iter().enumerate() {
        let key = Key::of("user").item(index);
        if user.name.is_empty() {
            findings.error(&key.field("name"), "empty; expected the name of an account");
        }
        if config.users[..index].iter().any(|earlier| earlier.name == user.name) {
            findings.error(&key.field("name"), "given twice; expected one [[user]] per account");
        }
        if user.password.is_empty() {
            findings.warn(&key.field("password"), "empty: this account needs no password");
        }
    }

    let auth = &config.auth;
    findings.readable(&Key::of("auth").field("file"), auth.file.as_ref());
    if auth.database {
        for (index, listener) in config.listeners.iter().enumerate() {
            if listener.auth_plugin == AuthPlugin::MysqlNativePassword {
                findings.warn(
                    &Key::of("listener").item(index).field("auth_plugin"),
                    "accounts that are neither in [[user]] nor in auth.file cannot log in here: \
                     this method hides the password that the database would have to check",
                );
            }
        }
    } else if config.users.is_empty() && auth.file.is_none() {
        findings.error(
            &Key::of("auth").field("database"),
            "nobody could log in; expected true, or accounts in [[user]] or auth.file",
        );
    }
}
