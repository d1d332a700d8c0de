//! Plays a session and writes down every message that comes back.

use std::io;
use std::net::SocketAddr;

use bytes::BytesMut;
use harness::Account;
use wire::postgres::backend::Kind;

use super::client::{Client, Reply};
use super::script::{Message, Step};

/// What came back for one step.
#[derive(Debug, Clone)]
pub(crate) struct Exchange {
    /// What was said; `None` for the login.
    pub(crate) step: Option<Step>,
    pub(crate) replies: Vec<Reply>,
    /// Why nothing more came.
    pub(crate) end: Option<String>,
}

/// Logs in and plays `steps` in order. A connection that ends is the last exchange. What is to
/// happen elsewhere is run on `root`, which is connected to the same database directly.
pub(crate) async fn play(
    addr: SocketAddr,
    account: &Account,
    parameters: &[(String, String)],
    steps: &[Step],
    root: &tokio_postgres::Client,
) -> Vec<Exchange> {
    let mut replies = Vec::new();
    let login = Client::login(addr, account, parameters, &mut replies).await;
    let end = login.as_ref().err().map(ToString::to_string);
    let is_in = replies.last().is_some_and(|reply| reply.kind == Kind::ReadyForQuery);
    let mut exchanges = vec![Exchange { step: None, replies, end }];
    let Some(client) = login.ok().filter(|_| is_in) else { return exchanges };
    let mut player = Player { client, root, is_skipping: false };
    for step in steps {
        let mut replies = Vec::new();
        let end = player.exchange(step, &mut replies).await.err().map(|error| told(&error));
        let is_over = end.is_some();
        exchanges.push(Exchange { step: Some(step.clone()), replies, end });
        if is_over {
            return exchanges;
        }
    }
    player.client.quit().await;
    exchanges
}

struct Player<'a> {
    client: Client,
    root: &'a tokio_postgres::Client,
    /// Whether an error was told behind which all is dropped up to the next Sync.
    is_skipping: bool,
}

impl Player<'_> {
    async fn exchange(&mut self, step: &Step, replies: &mut Vec<Reply>) -> io::Result<()> {
        match step {
            Step::Say(messages) => self.say(messages, readies(messages), replies).await,
            Step::SayFor(ready, messages) => self.say(messages, *ready, replies).await,
            Step::Elsewhere(sql) => self.root.batch_execute(sql).await.map_err(io::Error::other),
            Step::Hear => {
                replies.push(self.client.receive().await?);
                Ok(())
            }
        }
    }

    /// Sends messages in one write, and reads up to the end of what they are answered with: the
    /// last ReadyForQuery, the last answer before a Flush, or the server's wish for data.
    async fn say(
        &mut self,
        messages: &[Message],
        mut ready: usize,
        replies: &mut Vec<Reply>,
    ) -> io::Result<()> {
        let mut out = BytesMut::new();
        messages.iter().for_each(|message| message.put(&mut out));
        // Whether a session that its server has ended is found so here is chance; who waits for an answer finds it.
        let _gone = self.client.send(&out).await;
        let gives_data = messages.iter().any(is_end_of_data);
        let behind = messages.iter().rposition(|message| *message == Message::Sync);
        if behind.is_some() {
            self.is_skipping = false;
        }
        while ready > 0 {
            let reply = self.client.receive().await?;
            let kind = reply.kind;
            replies.push(reply);
            match kind {
                Kind::ReadyForQuery => ready -= 1,
                Kind::CopyInResponse if !gives_data => return Ok(()),
                _ => {}
            }
        }
        // What a Flush behind the last Sync asks for.
        if messages.last() != Some(&Message::Flush) {
            return Ok(());
        }
        let flushed = &messages[behind.map_or(0, |at| at + 1)..];
        let mut due: usize = flushed.iter().map(Message::answers).sum();
        while due > 0 && !self.is_skipping {
            let reply = self.client.receive().await?;
            match reply.kind {
                Kind::ErrorResponse => self.is_skipping = true,
                kind if is_answer(kind) => due -= 1,
                _ => {}
            }
            replies.push(reply);
        }
        Ok(())
    }
}

/// Why nothing more came. How a socket tells that the other side has closed depends on what was on the way.
fn told(error: &io::Error) -> String {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    match error.kind() {
        BrokenPipe | ConnectionReset | UnexpectedEof => "closed".to_owned(),
        _ => error.to_string(),
    }
}

/// How many ReadyForQuery follow.
fn readies(messages: &[Message]) -> usize {
    let ends = |message: &&Message| {
        matches!(message, Message::Query(_) | Message::Call(..) | Message::Sync)
    };
    let count = messages.iter().filter(ends).count();
    let takes_data = messages.iter().position(is_end_of_data);
    match takes_data {
        // A COPY of the simple protocol that was begun before.
        Some(_) if count == 0 => 1,
        // What the COPY reads as it waits for data has no answer.
        Some(end) => {
            let swallowed = messages[..end].iter().filter(|message| **message == Message::Sync);
            count - swallowed.count()
        }
        None => count,
    }
}

fn is_end_of_data(message: &Message) -> bool {
    matches!(message, Message::CopyDone | Message::CopyFail(_))
}

/// Whether it ends the answer to one message of the extended protocol, or is one of the two that a
/// described statement has.
fn is_answer(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::ParseComplete
            | Kind::BindComplete
            | Kind::CloseComplete
            | Kind::ParameterDescription
            | Kind::RowDescription
            | Kind::NoData
            | Kind::CommandComplete
            | Kind::EmptyQueryResponse
            | Kind::PortalSuspended
    )
}
