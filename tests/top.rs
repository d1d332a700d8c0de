//! `tidegate top` on a terminal of its own, made by `script`: it draws, its keys work, and however it ends, the
//! terminal is as it was before.

use std::process::Stdio;
use std::time::Duration;

use harness::*;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

const PATIENCE: Duration = Duration::from_secs(30);

/// The program in a terminal of 80 columns and 24 lines; behind it, `stty` tells what is left of that.
struct Terminal {
    process: Child,
    keys: ChildStdin,
    screen: ChildStdout,
    shown: String,
    folder: Scratch,
}

impl Terminal {
    fn open(guard: &Guard) -> Self {
        let folder = Scratch::new().unwrap();
        let top = format!(
            "stty rows 24 cols 80; sh -c 'echo $$ >{}/pid; exec {} top --admin http://{}'; echo code=$?; stty -a",
            folder.path().display(),
            program().unwrap().display(),
            guard.admin(),
        );
        let mut process = Command::new("script")
            .args(["-q", "-c", &top, "/dev/null"])
            .env("TERM", "xterm-256color")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let (keys, screen) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        Self { process, keys, screen, shown: String::new(), folder }
    }

    async fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).await.unwrap();
        self.keys.flush().await.unwrap();
    }

    /// Reads until that was shown.
    async fn shows(&mut self, text: &str) {
        let reading = async {
            while !self.shown.contains(text) {
                let mut bytes = [0; 4096];
                let read = self.screen.read(&mut bytes).await.unwrap();
                assert!(read > 0, "{text}: it ended: {}", self.shown);
                self.shown.push_str(&String::from_utf8_lossy(&bytes[..read]));
            }
        };
        let read = tokio::time::timeout(PATIENCE, reading).await;
        assert!(read.is_ok(), "{text} is not shown: {}", self.shown);
    }

    fn signal(&self, signal: Signal) {
        let pid = std::fs::read_to_string(self.folder.path().join("pid")).unwrap();
        let pid = Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// It has ended with that code, and left the terminal in order.
    async fn ends_in_order(mut self, code: &str) {
        self.shows(&format!("code={code}")).await;
        // The last line of `stty -a`.
        self.shows("echoctl").await;
        let (screen, stty) = self.shown.rsplit_once("code=").unwrap();
        assert!(screen.contains("\u{1b}[?1049h"), "it drew on a screen of its own: {screen}");
        assert!(screen.ends_with("\u{1b}[?1049l") || screen.contains("\u{1b}[?1049l"), "{screen}");
        let (_, after) = screen.rsplit_once("\u{1b}[?1049l").unwrap();
        assert!(!after.contains("\u{1b}[?25l"), "the cursor is hidden: {after}");
        assert!(stty.contains(" icanon") && !stty.contains("-icanon"), "{stty}");
        assert!(stty.contains(" echo ") && !stty.contains("-echo "), "{stty}");
        self.process.wait().await.unwrap();
    }
}

async fn guard() -> (Server, Guard) {
    let server = Server::start(Engine::MariaDb).await.unwrap();
    let guard = Guard::start(&server, &Setup::default()).await.unwrap();
    (server, guard)
}

#[tokio::test]
async fn it_draws_takes_keys_and_leaves_the_terminal_as_it_was() {
    let (_server, mut guard) = guard().await;
    let mut terminal = Terminal::open(&guard);
    terminal.shows("CALM").await;
    terminal.press("3").await;
    terminal.shows("Switches that are set").await;
    terminal.press(" ").await;
    terminal.shows("HELD STILL").await;
    terminal.press("q").await;
    terminal.ends_in_order("0").await;

    let mut terminal = Terminal::open(&guard);
    terminal.shows("CALM").await;
    terminal.press("\u{3}").await;
    terminal.ends_in_order("0").await;

    let mut terminal = Terminal::open(&guard);
    terminal.shows("CALM").await;
    terminal.signal(Signal::TERM);
    terminal.ends_in_order("0").await;

    let mut terminal = Terminal::open(&guard);
    terminal.shows("CALM").await;
    guard.crash();
    terminal.shows("no answer for").await;
    terminal.press("q").await;
    terminal.ends_in_order("0").await;
    // Who is not there is told before the screen is taken.
    let mut terminal = Terminal::open(&guard);
    terminal.shows("code=3").await;
    assert!(terminal.shown.contains("no guard answers"), "{}", terminal.shown);
    assert!(!terminal.shown.contains("\u{1b}[?1049h"), "{}", terminal.shown);
}

#[tokio::test]
async fn once_and_json_are_for_pipes() {
    let (_server, guard) = guard().await;
    let admin = format!("http://{}", guard.admin());
    for arguments in [&["top", "--once"][..], &["top"]] {
        let told =
            Command::new(program().unwrap()).args(arguments).args(["--admin", &admin]).output();
        let told = String::from_utf8(told.await.unwrap().stdout).unwrap();
        assert!(told.contains("CALM  All is well"), "{told}");
        assert!(told.contains("No switch is set"), "{told}");
        assert!(!told.contains('\u{1b}'), "{told}");
    }
    let told = Command::new(program().unwrap()).args(["top", "--json", "--admin", &admin]).output();
    let told: Value = serde_json::from_slice(&told.await.unwrap().stdout).unwrap();
    assert_eq!((&told["version"], &told["told"]["level"]), (&1.into(), &"calm".into()), "{told:#}");
    let history = guard.json("/api/v1/history").await.unwrap();
    assert!(history.as_array().unwrap().len() < 600, "{history:#}");
}
