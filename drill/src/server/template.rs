//! A data folder made once per engine and copied for every private server.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::certificate;
use super::engine::Engine;
use crate::error::{Error, at};
use crate::home;

/// The server's data inside its folder; certificates lie beside it.
pub(super) const DATA: &str = "data";

/// The template of `engine`, made first when there is none for this version and these accounts.
///
/// Several processes may make it at once: each builds its own and the first rename wins.
pub(super) fn ready(engine: Engine) -> Result<PathBuf, Error> {
    let name = format!("{}-{:016x}", engine.to_string().to_lowercase(), recipe(engine)?);
    let template = home::state().join("template").join(name);
    if template.is_dir() {
        return Ok(template);
    }
    let building = template.with_extension(home::unique());
    fs::create_dir_all(&building).map_err(at(&building))?;
    let made = make(engine, &building);
    match made.and_then(|()| fs::rename(&building, &template).map_err(at(&template))) {
        Ok(()) => Ok(template),
        Err(error) => {
            // The failure that matters is `error`; a leftover folder harms nobody.
            let _leftover = fs::remove_dir_all(&building);
            if template.is_dir() { Ok(template) } else { Err(error) }
        }
    }
}

/// Copies a template into the empty `folder`, with its permissions but not its owner.
pub(super) fn copy(template: &Path, folder: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(template).map_err(at(template))? {
        let from = entry.map_err(at(template))?.path();
        let to = folder.join(from.file_name().unwrap_or_default());
        if from.is_dir() {
            fs::create_dir(&to).map_err(at(&to))?;
            copy(&from, &to)?;
            let permissions = fs::metadata(&from).map_err(at(&from))?.permissions();
            fs::set_permissions(&to, permissions).map_err(at(&to))?;
        } else {
            fs::copy(&from, &to).map_err(at(&to))?;
        }
    }
    Ok(())
}

/// What a template depends on, as a number: the server's version and all that is put into it.
fn recipe(engine: Engine) -> Result<u64, Error> {
    let program = engine.program()?;
    let version = Command::new(&program).arg("--version").output().map_err(at(&program))?;
    let mut hasher = DefaultHasher::new();
    version.stdout.hash(&mut hasher);
    engine.kind().recipe().hash(&mut hasher);
    Ok(hasher.finish())
}

fn make(engine: Engine, folder: &Path) -> Result<(), Error> {
    certificate::write(folder)?;
    let data = folder.join(DATA);
    engine.kind().make(&data)?;
    fs::set_permissions(&data, fs::Permissions::from_mode(0o700)).map_err(at(&data))
}

/// Runs a command to its end; its output is only of interest when it fails.
pub(super) fn run(mut command: Command, stdin: Stdio) -> Result<(), Error> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(stdin).output().map_err(at(&program))?;
    let log = [output.stdout, output.stderr].concat();
    let log = String::from_utf8_lossy(&log).into_owned();
    // `--bootstrap` reports a bad statement and still ends well.
    if output.status.success() && !log.contains("ERROR:") && !log.contains("[ERROR]") {
        return Ok(());
    }
    Err(Error::Failed { program, log })
}
