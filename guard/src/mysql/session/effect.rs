//! What a finished statement does to the pins of its session.
//!
//! Two sources agree on it: what the text says (`policy::sql::Effects`) and what the server reports
//! (session trackers, in [`Reply`]). The server's word alone decides where it is exact
//! (schema, variables); a change that neither a tracker names nor the text explains pins the
//! session as [`Pin::Unknown`], so that nothing leaks to the next.

use policy::sql::{Effects, Kind, Shape};

use super::{
    pins::{Pin, Pins},
    relay::Reply,
};

/// Applies a statement that the server carried out. `subject` is the literal name it is about;
/// `has_untold` says that a statement before may have changed the session without telling.
pub fn apply(
    pins: &mut Pins,
    shape: &Shape,
    subject: Option<&[u8]>,
    reply: &Reply,
    has_untold: bool,
) {
    if reply.error.is_some() {
        apply_failed(pins, shape, subject, reply);
        return;
    }
    let effects = shape.effects;
    apply_effects(pins, effects, subject);
    apply_kind(pins, shape, subject);
    if reply.has_unreplayable {
        pins.add(Pin::Variable);
    }
    if reply.has_changed && (has_untold || is_unexplained(shape, reply)) {
        pins.add(Pin::Unknown);
    }
}

/// Applies a text that failed. Of several statements some were carried out before: what they changed
/// was told, but for what only their text tells. Also one that fails alone keeps the locks that it
/// took before.
fn apply_failed(pins: &mut Pins, shape: &Shape, subject: Option<&[u8]>, reply: &Reply) {
    if shape.effects.contains(Effects::GET_LOCK) {
        pins.add_instance(Pin::NamedLock, subject);
    }
    let ran_some = shape.effects.contains(Effects::MULTI) && reply.status.is_some();
    if reply.has_changed || ran_some && shape.effects.intersects(TOLD_BY_TEXT) {
        pins.add(Pin::Unknown);
    }
    if reply.has_unreplayable {
        pins.add(Pin::Variable);
    }
}

/// What no tracker tells.
const TOLD_BY_TEXT: Effects = Effects::GET_LOCK
    .or(Effects::NEXT_TRANSACTION)
    .or(Effects::HOLDS)
    .or(Effects::FOR_STATEMENT)
    .or(Effects::TRUNCATED);

/// Whether a statement sets the session trackers, by which the guard itself learns what changes.
pub fn steers_trackers(shape: &Shape) -> bool {
    const NAME: &[u8] = b"session_track_";
    (shape.kind == Kind::Set || shape.effects.contains(Effects::MULTI))
        && shape.text.as_bytes().windows(NAME.len()).any(|word| word.eq_ignore_ascii_case(NAME))
}

fn apply_effects(pins: &mut Pins, effects: Effects, subject: Option<&[u8]>) {
    if effects.contains(Effects::CREATES_TEMPORARY) {
        pins.add_named(Pin::TemporaryTable, subject);
    }
    if effects.contains(Effects::DROPS_TEMPORARY) {
        pins.remove_named(Pin::TemporaryTable, subject);
    }
    if effects.intersects(Effects::ASSIGNS_USER_VARIABLE | Effects::INTO_VARIABLE) {
        pins.add(Pin::UserVariable);
    }
    if effects.contains(Effects::GET_LOCK) {
        pins.add_instance(Pin::NamedLock, subject);
    }
    if effects.contains(Effects::RELEASE_LOCK) {
        pins.remove_named(Pin::NamedLock, subject);
    }
    if effects.contains(Effects::RELEASE_ALL_LOCKS) {
        pins.remove(Pin::NamedLock);
    }
    if effects.contains(Effects::NEXT_TRANSACTION) {
        pins.add(Pin::NextTransaction);
    }
    let is_hidden = effects.contains(Effects::MULTI)
        && effects.intersects(Effects::HOLDS.or(Effects::FOR_STATEMENT));
    if effects.contains(Effects::TRUNCATED) || is_hidden {
        pins.add(Pin::Unknown);
    }
}

fn apply_kind(pins: &mut Pins, shape: &Shape, subject: Option<&[u8]>) {
    let begins_with =
        |words: &str| shape.text.get(..words.len()).is_some_and(|t| t.eq_ignore_ascii_case(words));
    match shape.kind {
        Kind::Prepare => _ = pins.add_named(Pin::SqlPrepared, subject),
        Kind::Deallocate => pins.remove_named(Pin::SqlPrepared, subject),
        Kind::LockTables => _ = pins.add(Pin::TableLock),
        Kind::UnlockTables => pins.remove(Pin::TableLock),
        Kind::Handler => match shape.text.to_ascii_lowercase() {
            text if text.contains(" open") => _ = pins.add_named(Pin::Handler, subject),
            text if text.contains(" close") => pins.remove_named(Pin::Handler, subject),
            _ => {}
        },
        // A variable in the place of an OUT parameter; no tracker tells of it.
        Kind::Call if shape.effects.contains(Effects::USER_VARIABLE) => {
            _ = pins.add(Pin::UserVariable);
        }
        Kind::Xa if begins_with("xa commit") || begins_with("xa rollback") => pins.remove(Pin::Xa),
        Kind::Xa if begins_with("xa recover") => {}
        Kind::Xa => _ = pins.add(Pin::Xa),
        Kind::Set if begins_with("set role") => _ = pins.add(Pin::Role),
        _ => {}
    }
}

/// Whether the text of a statement says how it changes the session.
pub fn is_explained_by_text(shape: &Shape) -> bool {
    let changes = Effects::ASSIGNS_USER_VARIABLE
        | Effects::CREATES_TEMPORARY
        | Effects::DROPS_TEMPORARY
        | Effects::INTO_VARIABLE;
    shape.effects.intersects(changes) || matches!(shape.kind, Kind::Prepare | Kind::Deallocate)
}

/// Whether the server reports a change that nothing explains. A reported variable explains the
/// change of a statement that is there to set it, alone; any other has run code that may have done
/// more.
fn is_unexplained(shape: &Shape, reply: &Reply) -> bool {
    let may_hide_more = shape.kind == Kind::Call || shape.effects.contains(Effects::MULTI);
    let sets = matches!(shape.kind, Kind::Set | Kind::Use | Kind::Ddl | Kind::Admin);
    may_hide_more || !(is_explained_by_text(shape) || reply.is_explained && sets)
}
