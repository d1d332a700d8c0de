//! `tidegate top`: the guard at a glance, in a terminal.
//!
//! What is shown is the guard's own [`Snapshot`], asked for once a second; `guard::glance` makes words, figures and
//! tables of it, as for the live page. Three threads tell one loop what happens: an answer, a key, a signal. The loop
//! alone changes the [`Screen`] and draws it.

mod draw;
mod screen;
mod text;

use std::io::{IsTerminal as _, stdout};
use std::sync::mpsc::{self, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use clap::Args;
use guard::control::{SNAPSHOT_VERSION, Sample, Snapshot};
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};

use self::screen::{Next, Screen};
use crate::client::Client;
use crate::exit::Failure;

/// Show the guard at a glance: what is wrong, what it does about it, what you can do.
///
/// Keys: 1 to 6 or Tab choose a pane, arrows scroll, Space holds the picture still, q leaves.
#[derive(Debug, Args)]
pub(crate) struct Top {
    /// Print it once, as text, and leave. So it is where the output is no terminal, and with --json.
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    client: Client,
}

const SNAPSHOT: &str = "/api/v1/snapshot";
const HISTORY: &str = "/api/v1/history";

/// How often the guard is asked.
const EVERY: Duration = Duration::from_secs(1);
/// Happenings that wait for the loop; who tells one more waits.
const HAPPENINGS_MAX: usize = 16;

/// What the loop is told.
#[derive(Debug)]
enum Happening {
    /// An answer, or why there is none.
    Told(Box<Result<Snapshot, String>>),
    /// A key, or another size.
    Event(Event),
    /// A signal.
    Stop,
}

impl Top {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let is_watched = stdout().is_terminal() && !self.once && !self.client.is_json();
        if !is_watched {
            return self.client.print("GET", SNAPSHOT, None, text::whole);
        }
        // Whoever is not there is told as by the other commands, before the screen is taken.
        let first: Snapshot = self.client.fetch("GET", SNAPSHOT, None)?;
        if first.version > SNAPSHOT_VERSION {
            return Err(Failure::Failed(anyhow!(
                "the guard tells version {} of its snapshot, and this program reads {SNAPSHOT_VERSION}; use the \
                 `tidegate` of the guard's version",
                first.version
            )));
        }
        let past: Vec<Sample> = self.client.fetch("GET", HISTORY, None)?;
        let screen = Screen::new(Instant::now(), first, past);
        // Before the screen is taken: a signal between the two would leave the terminal as it is then.
        let stop = Stop::armed().context("signals cannot be heeded")?;
        let mut terminal = ratatui::try_init().context("this terminal cannot be drawn on")?;
        let ended = self.watch(&mut terminal, screen, stop);
        ratatui::restore();
        Ok(ended.context("the terminal cannot be drawn on any more")?)
    }

    /// Draws until somebody has had enough.
    fn watch(
        self,
        terminal: &mut DefaultTerminal,
        mut screen: Screen,
        stop: Stop,
    ) -> std::io::Result<()> {
        let (sender, happenings) = mpsc::sync_channel(HAPPENINGS_MAX);
        // They end with the program.
        let (answers, keys, signals) = (sender.clone(), sender.clone(), sender);
        thread::spawn(move || ask(&self.client, &answers));
        thread::spawn(move || read(&keys));
        thread::spawn(move || {
            stop.wait();
            let _nobody_listens = signals.send(Happening::Stop);
        });
        loop {
            terminal.draw(|frame| draw::draw(frame, &mut screen, Instant::now()))?;
            let Ok(happening) = happenings.recv() else { return Ok(()) };
            let next = match happening {
                Happening::Told(told) => screen.told(Instant::now(), *told),
                Happening::Event(Event::Key(key)) if key.kind == KeyEventKind::Press => {
                    screen.key(key)
                }
                Happening::Event(_) => Next::Draw,
                Happening::Stop => Next::Leave,
            };
            if next == Next::Leave {
                return Ok(());
            }
        }
    }
}

/// Asks the guard once a second, until nobody listens.
fn ask(client: &Client, answers: &SyncSender<Happening>) {
    loop {
        thread::sleep(EVERY);
        let answer = client.fetch("GET", SNAPSHOT, None).map_err(|failure| failure.to_string());
        if answers.send(Happening::Told(Box::new(answer))).is_err() {
            return;
        }
    }
}

/// Reads keys, until nobody listens or there is no terminal any more.
fn read(keys: &SyncSender<Happening>) {
    loop {
        let happening = event::read().map_or(Happening::Stop, Happening::Event);
        let is_over = matches!(happening, Happening::Stop);
        if keys.send(happening).is_err() || is_over {
            return;
        }
    }
}

/// Signals that ask it to end: the terminal is put in order then, too.
struct Stop {
    runtime: Runtime,
    signals: [Signal; 2],
}

impl Stop {
    /// From here on they do not end the program.
    fn armed() -> std::io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let entered = runtime.enter();
        let signals = [signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?];
        drop(entered);
        Ok(Self { runtime, signals })
    }

    /// Returns with the first.
    fn wait(self) {
        let Self { runtime, signals: [mut terminate, mut interrupt] } = self;
        runtime.block_on(async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        });
    }
}
