//! The Debian package, made of the program under test: what it has in it, and that it works from where it is put.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use harness::*;

fn done(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    assert!(status.success(), "{command:?}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).unwrap()
}

#[test]
fn it_has_all_in_it_and_runs() {
    let folder = Scratch::new().unwrap();
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut build = Command::new(sources.join("scripts/build-deb.sh"));
    let package = done(build.arg(program().unwrap()).arg(folder.path()));
    let package = package.trim();

    let root = folder.path().join("root");
    done(Command::new("dpkg-deb").args(["--extract", package]).arg(&root));
    for (file, part) in [
        ("etc/tidegate/tidegate.toml", "[[listener]]"),
        ("usr/lib/systemd/system/tidegate.service", "ExecStart=/usr/bin/tidegate guard"),
        ("usr/share/bash-completion/completions/tidegate", "_tidegate"),
        ("usr/share/zsh/vendor-completions/_tidegate", "#compdef tidegate"),
        ("usr/share/fish/vendor_completions.d/tidegate.fish", "complete -c tidegate"),
        ("usr/share/doc/tidegate/configuration.md", "[overall]"),
        ("usr/share/doc/tidegate/copyright", "Apache License"),
    ] {
        let text = fs::read_to_string(root.join(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
        assert!(text.contains(part), "{file} lacks {part}");
    }
    // Each command has its page, and the unit names no program and no file that is not there.
    let pages = root.join("usr/share/man/man1");
    for (page, part) in [("tidegate", "tidegate\\-guard"), ("tidegate-batch-submit", "SYNOPSIS")] {
        let page = pages.join(format!("{page}.1.gz"));
        let text = done(Command::new("gzip").args(["--decompress", "--stdout"]).arg(&page));
        assert!(text.contains(part), "{} lacks {part}", page.display());
    }

    let fields = ["Package", "Architecture", "Depends"];
    let about = done(Command::new("dpkg-deb").args(["--field", package]).args(fields));
    assert!(about.contains("Package: tidegate") && about.contains("libc6 (>= 2."), "{about}");
    let conffiles = done(Command::new("dpkg-deb").args(["--info", package, "conffiles"]));
    assert_eq!(conffiles, "/etc/tidegate/tidegate.toml\n");

    let installed = root.join("usr/bin/tidegate");
    let version = done(Command::new(&installed).arg("--version"));
    assert_eq!(version, done(Command::new(program().unwrap()).arg("--version")));
    let config = root.join("etc/tidegate/tidegate.toml");
    let mut check = Command::new(&installed);
    done(check.args(["check", "-c"]).arg(config).env("TIDEGATE_CONTROL_PASSWORD", "secret"));
}

/// The instructions of the Dockerfile, each as one line. No image is built: that takes a service that a test may not
/// start. So what it names is compared with what there is.
fn instructions(text: &str) -> Vec<String> {
    let whole = text.replace("\\\n", " ");
    let is_one = |line: &&str| !line.is_empty() && !line.starts_with('#');
    whole.lines().map(str::trim).filter(is_one).map(str::to_owned).collect()
}

#[test]
fn the_image_names_what_there_is_and_runs_as_nobody() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let read = |name: &str| fs::read_to_string(sources.join(name)).unwrap();
    let all = instructions(&read("Dockerfile"));
    let of = |word: &str| {
        let rest = all.iter().filter_map(|line| line.strip_prefix(word)?.strip_prefix(' '));
        rest.map(str::to_owned).collect::<Vec<_>>()
    };
    let manifest = read("Cargo.toml");
    let version = manifest.lines().find_map(|line| line.strip_prefix("rust-version = ")).unwrap();
    let [build, run]: [String; 2] = of("FROM").try_into().unwrap();
    assert!(build.starts_with(&format!("rust:{}-", version.trim_matches('"'))), "{build}");
    let release = build.split([' ', '-']).nth(1).unwrap().to_owned();
    assert_eq!(run, format!("debian:{release}-slim"), "the C library is no older than the build's");

    for copied in of("COPY") {
        let from = copied.split(' ').next().unwrap();
        assert!(from.starts_with("--from=build") || sources.join(from).exists(), "{copied}");
    }
    let ignored = read(".dockerignore");
    for folder in ["/.git", "/.tidegate", "/target"] {
        assert!(ignored.lines().any(|line| line == folder), "{folder} would be sent to the build");
    }
    let user: u32 = of("USER")[0].split(':').next().unwrap().parse().unwrap();
    assert_ne!(user, 0);

    assert_eq!(of("ENTRYPOINT"), [r#"["tidegate"]"#]);
    let health = of("HEALTHCHECK").remove(0);
    let health = health.split_once("CMD ").unwrap().1.to_owned();
    for (words, skipped) in [(health, 1), (of("CMD").remove(0), 0)] {
        let words: Vec<String> = serde_json::from_str(&words).unwrap();
        done(Command::new(program().unwrap()).args(&words[skipped..]).arg("--help"));
    }
}
