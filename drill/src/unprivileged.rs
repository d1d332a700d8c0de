//! Running what refuses to run as root, when that is who we are: PostgreSQL and PgBouncer.
//!
//! Root hands the program's folder to the user `postgres`, which Debian's package makes, and starts
//! it as that; anyone else runs it as themselves. The folder must be one that others may pass
//! through, and so must the folders it is in.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use crate::error::{Error, at};

/// Who runs the programs when we are root.
const USER: &str = "postgres";

/// What comes before a program and its arguments on the command line, if anything. Each of them
/// becomes the next by `exec`: the process keeps its id.
pub(crate) fn prefix() -> Vec<String> {
    if !rustix::process::geteuid().is_root() {
        return Vec::new();
    }
    let (user, group) = (format!("--reuid={USER}"), format!("--regid={USER}"));
    // Both programs go back to the folder they were started in, which may be root's alone.
    ["/usr/bin/env", "--chdir=/", "setpriv", &user, &group, "--clear-groups"]
        .map(String::from)
        .to_vec()
}

/// Gives a folder and all it holds to whoever [`prefix`] runs programs as.
///
/// # Errors
/// [`Error::Missing`] when there is no such user; otherwise when a file cannot be given.
pub(crate) fn own(folder: &Path) -> Result<(), Error> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let missing = Error::Missing {
        program: "the user postgres",
        hint: "run scripts/install-servers.sh, or do not run as root",
    };
    let (user, group) =
        ids(&fs::read_to_string("/etc/passwd").unwrap_or_default()).ok_or(missing)?;
    give(folder, user, group)?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).map_err(at(folder))
}

fn give(path: &Path, user: u32, group: u32) -> Result<(), Error> {
    chown(path, Some(user), Some(group)).map_err(at(path))?;
    if path.is_dir() {
        for entry in fs::read_dir(path).map_err(at(path))? {
            give(&entry.map_err(at(path))?.path(), user, group)?;
        }
    }
    Ok(())
}

/// The ids of user and group in the text of `/etc/passwd`.
fn ids(passwd: &str) -> Option<(u32, u32)> {
    let line = passwd.lines().find(|line| line.split(':').next() == Some(USER))?;
    let mut fields = line.split(':').skip(2);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_is_found_by_its_whole_name() {
        let passwd = "root:x:0:0::/:/bin/sh\npostgresx:x:1:2::/:\npostgres:x:101:104:a,,,:/b:/c\n";
        assert_eq!(ids(passwd), Some((101, 104)));
        assert_eq!(ids("root:x:0:0::/:/bin/sh\n"), None);
    }
}
