//! Commands that do well, and some that do not.

use std::time::Duration;

use scheduler::sink::command::{Command, Config};
use scheduler::sink::{Fate, Reason, Sink, Slice};

use crate::{beside, chunk, done, items};

fn command(way: &str) -> Command {
    let mut config = Config::new("python3");
    config.arguments = vec![beside("command.py").into(), way.into()];
    config.in_flight_max = 10;
    // Longer than anything that a busy machine holds up.
    config.pause = Duration::from_secs(30);
    if way == "silent" {
        config.patience = Duration::from_secs(5);
    }
    Command::new(config)
}

async fn offer(command: &Command, count: u32) -> Vec<Fate> {
    let items = items(count, |position| format!("body {position}"));
    command.offer(Slice { chunk: chunk("b", 1), items: &items }).await
}

#[tokio::test]
async fn one_process_answers_many_offers_in_any_order() {
    let command = command("well");
    for _ in 0..3 {
        assert_eq!(done(&offer(&command, 1_000).await), 1_000);
    }
}

#[tokio::test]
async fn what_it_refuses_is_tried_again_or_dead() {
    let fates = offer(&command("choosy"), 4).await;
    let asked = Some(Duration::from_secs(60));
    assert_eq!(fates[1], Fate::Retry { asked, why: Reason::Refused("not now".into()) });
    assert_eq!(fates[2], Fate::Dead(Reason::Refused("no such user".into())));
    assert_eq!((&fates[0], &fates[3]), (&Fate::Done, &Fate::Done));
}

/// Three are answered. Of the others those that it was told are ambiguous, and no more than it may be
/// told ahead; the rest is not sent. The next offer finds a pause before a new process.
#[tokio::test]
async fn whatever_goes_wrong_what_it_was_told_is_ambiguous_and_bounded() {
    for way in ["silent", "ends", "lies", "babbles", "cut"] {
        let command = command(way);
        let fates = offer(&command, 100).await;
        let ambiguous = fates.iter().filter(|fate| matches!(fate, Fate::Ambiguous(_))).count();
        let unsent = fates.iter().filter(|fate| matches!(fate, Fate::Unsent(_))).count();
        assert_eq!(done(&fates), 3, "{way}: {fates:?}");
        assert!((1..=10).contains(&ambiguous), "{way}: {ambiguous}");
        assert_eq!(3 + ambiguous + unsent, 100, "{way}");
        let next = offer(&command, 1).await;
        assert!(matches!(next[0], Fate::Unsent(_)), "{way}: {next:?}");
    }
}

#[tokio::test]
async fn a_command_that_is_not_there_loses_nothing() {
    let fates = Command::new(Config::new("/nowhere/at-all"))
        .offer(Slice { chunk: chunk("b", 1), items: &items(3, |_| String::new()) })
        .await;
    assert!(fates.iter().all(|fate| matches!(fate, Fate::Unsent(_))), "{fates:?}");
}
