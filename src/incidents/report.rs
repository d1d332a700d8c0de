//! A recording as the draft of a post-mortem: the same blocks for every form in which it is written.

use guard::control::{Incident, Recording};

use super::facts::{Curve, curves, listed, roots, sums, worst_look};
use super::mix::grown;
use super::show::holder;
use super::story::{amount, millis, offset, tell};
use super::why;
use crate::show::{moment, time};

/// A piece of the report. Texts are as others wrote them: whoever writes them out makes them safe.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Block {
    Title(String),
    Heading(&'static str),
    Text(String),
    List(Vec<String>),
    Table { head: Vec<&'static str>, rows: Vec<Vec<String>> },
    Plot(Plot),
}

/// Curves over the same time.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Plot {
    pub(super) title: String,
    pub(super) curves: Vec<Curve>,
    /// From when to when, and the time of pile-ups in it.
    pub(super) span: (i64, i64),
    pub(super) pile_ups: Vec<(i64, i64)>,
}

/// Those who held others up that are told of.
const ROOTS_MAX: usize = 10;

/// The whole report.
pub(super) fn report(recording: &Recording) -> Vec<Block> {
    let head = &recording.head;
    let mut blocks = vec![
        Block::Title(format!("Incident of {}: {}", moment(head.triggered_unix_ms), why(&head.cause))),
        Block::Text(
            "A draft, written by tidegate from what its flight recorder kept. Times count from the trigger. \
             No value of any statement was recorded."
                .into(),
        ),
        about(recording),
        Block::Heading("What happened"),
        Block::Text(summary(recording)),
        Block::Heading("Impact"),
        Block::List(impact(recording)),
    ];
    blocks.extend(plots(recording).into_iter().map(Block::Plot));
    blocks.push(Block::Heading("Timeline"));
    blocks.push(timeline(recording));
    blocks.push(Block::Heading("What held whom"));
    blocks.extend(held(recording));
    blocks.push(Block::Heading("What ran more than before"));
    blocks.push(mix(recording));
    blocks.push(Block::Heading("What the guard did"));
    blocks.push(Block::List(done(recording)));
    blocks.push(Block::Heading("Open questions"));
    blocks.push(Block::List(questions(recording)));
    blocks
}

fn about(recording: &Recording) -> Block {
    let head = &recording.head;
    let row = |name: &str, value: String| vec![name.to_owned(), value];
    let mut rows = vec![
        row("recording", head.id.clone()),
        row("triggered", format!("{}, {}", moment(head.triggered_unix_ms), why(&head.cause))),
        row("kept", format!("{} to {}", offset(head.from_ms), offset(head.to_ms))),
        row("guard", format!("tidegate {}, mode {}", head.guard, head.mode)),
        row(
            "database",
            format!(
                "{} at {}, {} connections",
                head.server.as_deref().unwrap_or("not known"),
                head.address,
                head.connections
            ),
        ),
    ];
    if !head.note.is_empty() {
        rows.push(row("note", head.note.clone()));
    }
    Block::Table { head: vec!["", ""], rows }
}

/// Two or three sentences: what began, who was behind it, how it ended.
fn summary(recording: &Recording) -> String {
    let mut sentences = Vec::new();
    let mut left: Vec<_> =
        curves(recording).into_iter().filter_map(|curve| Some((curve.left()?.0, curve))).collect();
    left.sort_by_key(|(at, _)| *at);
    if left.is_empty() {
        sentences.push("No curve left what was usual for three moments on end.".into());
    } else {
        let order = left.iter().map(|(at, curve)| format!("{} ({})", curve.name, offset(*at)));
        let order = order.collect::<Vec<_>>().join(", ");
        sentences.push(format!("Not as usual, in this order: {order}."));
    }
    for one in &recording.incidents {
        let lasted = one.lasted_ms.map_or("went on".into(), |ms| format!("lasted {}", time(ms)));
        let begun = millis(one.began_unix_ms) - millis(recording.head.triggered_unix_ms);
        sentences.push(format!(
            "A pile-up of waits for locks began at {} and {lasted}: up to {} of {} open transactions waited, the \
             longest for {}.",
            offset(begun),
            one.blocked,
            one.open,
            time(one.oldest_wait_ms)
        ));
    }
    if let Some(look) = worst_look(recording)
        && let Some(root) = roots(look).max_by_key(|root| root.behind)
    {
        sentences.push(format!("Transaction {}.", holder(recording, root)));
    }
    sentences.join(" ")
}

fn impact(recording: &Recording) -> Vec<String> {
    let mut lines = Vec::new();
    for curve in curves(recording) {
        let usual = curve.usual().map_or("not known".into(), |usual| amount(usual, curve.unit));
        let worst = match curve.name {
            "throughput" => curve.least_after().map(|least| ("least", least)),
            "slowest of 100" | "waiting for a turn" | "waiting for locks" | "refused" => {
                Some(("most", curve.most())).filter(|(_, (_, most))| *most > 0.0)
            }
            _ => None,
        };
        if let Some((which, (at, value))) = worst {
            let value = amount(value, curve.unit);
            lines.push(format!(
                "{}: usually {usual}, {which} {value} at {}",
                curve.name,
                offset(at)
            ));
        }
    }
    for (what, sums) in [
        ("refused", sums(recording, |second| &second.sheds)),
        ("cancelled", sums(recording, |second| &second.cancels)),
        ("statements ended", sums(recording, |second| &second.statements)),
    ] {
        if !sums.is_empty() {
            lines.push(format!("{what} from the trigger on: {}", listed(&sums)));
        }
    }
    let waited: u64 = recording.incidents.iter().map(|one| one.waited_ms).sum();
    if waited > 0 {
        lines.push(format!("waiting for locks in pile-ups, all together: {}", time(waited)));
    }
    lines
}

fn plots(recording: &Recording) -> Vec<Plot> {
    let span = (recording.head.from_ms, recording.head.to_ms);
    let begun =
        |one: &Incident| millis(one.began_unix_ms) - millis(recording.head.triggered_unix_ms);
    let pile_ups: Vec<_> = recording
        .incidents
        .iter()
        .map(|one| (begun(one), one.lasted_ms.map_or(span.1, |ms| begun(one) + millis(ms))))
        .collect();
    let mut curves = curves(recording);
    curves.retain(|curve| curve.most().1 > 0.0);
    let mut plots: Vec<Plot> = Vec::new();
    for curve in curves {
        // The limit means something only beside what it limits.
        if curve.name == "limit"
            && let Some(last) = plots.last_mut()
        {
            last.title.push_str(" and limit");
            last.curves.push(curve);
            continue;
        }
        let unit = if curve.unit.is_empty() { String::new() } else { format!(" ({})", curve.unit) };
        let title = format!("{}{unit}", curve.name);
        plots.push(Plot { title, curves: vec![curve], span, pile_ups: pile_ups.clone() });
    }
    plots
}

fn timeline(recording: &Recording) -> Block {
    let row = |moment: super::story::Moment| {
        let lines: Vec<_> = moment.what.lines().map(str::trim).collect();
        vec![offset(moment.at_ms), lines.join(" · ")]
    };
    Block::Table {
        head: vec!["when", "what"],
        rows: tell(recording).into_iter().map(row).collect(),
    }
}

fn held(recording: &Recording) -> Vec<Block> {
    let Some(look) = worst_look(recording) else {
        return vec![Block::Text(
            "Nobody was seen to wait for a lock, or the server did not tell for whom.".into(),
        )];
    };
    let told = |id| recording.text(id).to_owned();
    let intro = format!(
        "When most waited, at {}: {} of {} open transactions, the longest for {}.",
        offset(look.at_ms),
        look.blocked,
        look.open,
        time(look.oldest_wait_ms.into())
    );
    let all: Vec<_> = roots(look).collect();
    let holders =
        all.iter().take(ROOTS_MAX).map(|root| vec![holder(recording, root), told(root.statement)]);
    let holders = holders.collect();
    let mut waits: Vec<(String, String, u64, u32)> = Vec::new();
    for one in look.transactions.iter().filter(|one| one.waits_for != 0) {
        let (on, statement) = (told(one.on), told(one.statement));
        match waits.iter_mut().find(|known| known.0 == on && known.1 == statement) {
            Some(known) => (known.2, known.3) = (known.2 + 1, known.3.max(one.for_ms)),
            None => waits.push((on, statement, 1, one.for_ms)),
        }
    }
    waits.sort_by_key(|(.., count, _)| std::cmp::Reverse(*count));
    let waits = waits.into_iter().map(|(on, statement, count, longest)| {
        vec![count.to_string(), on, time(longest.into()), statement]
    });
    let waits = waits.collect();
    let mut blocks = vec![
        Block::Text(intro),
        Block::Table { head: vec!["who held others up", "last statement"], rows: holders },
        Block::Table { head: vec!["waiters", "for", "longest", "statement"], rows: waits },
    ];
    if look.left_out > 0 || all.len() > ROOTS_MAX {
        let more = look.left_out as usize + all.len().saturating_sub(ROOTS_MAX);
        blocks.push(Block::Text(format!("{more} more transactions are not listed.")));
    }
    blocks
}

fn mix(recording: &Recording) -> Block {
    let parts = grown(recording);
    if parts.is_empty() {
        return Block::Text("Nothing.".into());
    }
    let row = |part: super::mix::Part| {
        vec![format!("{:.1}", part.before), format!("{:.1}", part.after), part.statement]
    };
    let head = vec!["sessions at it before", "after", "statement"];
    Block::Table { head, rows: parts.into_iter().map(row).collect() }
}

fn done(recording: &Recording) -> Vec<String> {
    let mut lines = Vec::new();
    for one in &recording.incidents {
        let ordered = one.acts.iter().filter(|act| act.is_ordered).count();
        let would = one.acts.len() - ordered;
        lines.push(format!(
            "pile-up {}: {ordered} transactions rolled back{}, {} held up at the gate, {} refused",
            one.id,
            if would > 0 {
                format!(", {would} more would have been in mode enforce")
            } else {
                String::new()
            },
            one.held,
            one.shed
        ));
    }
    let refused = sums(recording, |second| &second.sheds);
    if !refused.is_empty() {
        lines.push(format!("refused transactions: {}", listed(&refused)));
    }
    let cancelled = sums(recording, |second| &second.cancels);
    if !cancelled.is_empty() {
        lines.push(format!("cancelled statements: {}", listed(&cancelled)));
    }
    let of_limit = |event: &&guard::control::Event| event.kind == guard::control::EventKind::Limit;
    let cuts = recording.events.iter().filter(of_limit).count();
    if cuts > 0 {
        lines.push(format!("cut the limit {cuts} times"));
    }
    if lines.is_empty() {
        lines.push("nothing: it watched".into());
    }
    lines
}

/// What a recording cannot tell, by what is in it.
fn questions(recording: &Recording) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(look) = worst_look(recording) {
        for root in roots(look).take(3) {
            let (who, activity) = (root.backend, recording.text(root.activity));
            lines.push(match activity {
                "idle" => format!(
                    "Why did the client of {who} keep its transaction open for {} without a statement?",
                    time(root.for_ms.into())
                ),
                _ => format!("Why did the transaction of {who} take {}?", time(root.age_ms.into())),
            });
            if recording.text(root.client).is_empty() {
                lines.push(format!("Who is {who}, and why does it not come through the guard?"));
            }
        }
    }
    if let Some(first) = grown(recording).first() {
        lines.push(format!("Where did more of this come from: {}?", first.statement));
    }
    if !sums(recording, |second| &second.sheds).is_empty() {
        lines
            .push("Did those who were refused come again, and did anybody lose work by it?".into());
    }
    let left_out: u64 = recording.left_out.iter().sum();
    if left_out > 0 {
        lines.push(format!(
            "{left_out} things were not recorded, for want of room or because there were too many."
        ));
    }
    lines.push("Who noticed first, and by what? What should have told somebody earlier?".into());
    lines.push("What was done by hand, when and by whom, that is not listed here?".into());
    lines
}
