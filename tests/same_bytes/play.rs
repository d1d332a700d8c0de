//! Plays a session and writes down every packet that comes back.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::BytesMut;
use harness::{Account, Client, ClientError, Login, Packet, Reply};
use wire::mysql::Capabilities;
use wire::mysql::command::Command;
use wire::mysql::frame::put_packet;

use super::script::{Slots, Step};

/// The longest that one packet may take on a machine that is busy with others.
const PATIENCE: Duration = Duration::from_secs(60);

/// What came back for one step.
#[derive(Debug, Clone)]
pub(crate) struct Exchange {
    /// What was said; pipelined steps have an exchange each.
    pub(crate) step: Step,
    /// The command's byte as a command.
    pub(crate) command: Command,
    /// What was agreed on at login.
    pub(crate) capabilities: Capabilities,
    /// What came back; empty for commands without a reply.
    pub(crate) packets: Vec<Packet>,
    /// Why nothing more came.
    pub(crate) end: Option<String>,
}

/// A client and its statements.
pub(crate) struct Player {
    client: Client,
    schema: String,
    slots: Slots,
}

impl Player {
    /// Logs in with exactly these capabilities, as far as the other side has them.
    pub(crate) async fn login(
        addr: SocketAddr,
        account: &Account,
        schema: &str,
        capabilities: Capabilities,
    ) -> Result<Self, ClientError> {
        let login = Login { schema: Some(schema.into()), capabilities, ..Login::new(account) };
        let mut client = Client::login_with(addr, &login).await?;
        client.set_patience(PATIENCE);
        Ok(Self { client, schema: schema.to_owned(), slots: Slots::default() })
    }

    /// What was agreed on.
    pub(crate) fn capabilities(&self) -> Capabilities {
        self.client.capabilities()
    }

    /// Plays `steps` in order. A connection that ends is the last exchange.
    pub(crate) async fn play(mut self, steps: &[Step]) -> Vec<Exchange> {
        let mut exchanges = Vec::new();
        let welcome = self.client.welcome().cloned();
        exchanges.push(self.login_exchange(Step::Query("login".into()), welcome, None));
        for step in steps {
            if let Step::ChangeUser(account) = step {
                if !self.change_user(step, account, &mut exchanges).await {
                    return exchanges;
                }
                continue;
            }
            let group = match step {
                Step::Pipelined(steps) => steps.as_slice(),
                single => std::slice::from_ref(single),
            };
            if !self.exchange(group, &mut exchanges).await {
                return exchanges;
            }
        }
        // Goodbye, so that the server does not count the client as aborted.
        let _gone = self.client.command(&[Command::Quit as u8]).await;
        exchanges
    }

    /// Logs in again. Returns whether the connection lives.
    async fn change_user(
        &mut self,
        step: &Step,
        account: &Account,
        exchanges: &mut Vec<Exchange>,
    ) -> bool {
        let login = Login { schema: Some(self.schema.as_str().into()), ..Login::new(account) };
        let changed = self.client.change_user(&login).await;
        step.note_sent(&mut self.slots);
        let lives = changed.is_ok();
        let (packet, end) = match changed {
            Ok(packet) => (Some(packet), None),
            Err(error) => (None, Some(error.to_string())),
        };
        exchanges.push(self.login_exchange(step.clone(), packet, end));
        lives
    }

    /// The end of a login. Its number is not compared: how many packets were needed to prove a
    /// password depends on what a server has in its cache.
    fn login_exchange(&self, step: Step, packet: Option<Packet>, end: Option<String>) -> Exchange {
        let packets = packet.map(|packet| Packet { seq: 0, ..packet }).into_iter().collect();
        let capabilities = self.client.capabilities();
        Exchange { step, command: Command::ChangeUser, capabilities, packets, end }
    }

    /// Sends a group of steps in one write and reads their replies. Returns whether the connection
    /// lives.
    async fn exchange(&mut self, group: &[Step], exchanges: &mut Vec<Exchange>) -> bool {
        let mut out = BytesMut::new();
        let mut commands = Vec::new();
        for step in group {
            let payload = step.payload(&self.slots, self.client.capabilities());
            commands.push(Command::of(&payload).expect("tests send commands that exist"));
            put_packet(&mut out, 0, &payload);
            step.note_sent(&mut self.slots);
        }
        let mut end = self.client.send(&out).await.err();
        for (step, command) in group.iter().zip(commands) {
            let reply = match end.take() {
                None => match step {
                    Step::Load(_, file) => self.client.reply_with(command, file).await,
                    _ => self.client.reply(command).await,
                },
                Some(error) => Err(error),
            };
            let (packets, error) = match reply {
                Ok(reply) => {
                    self.note_prepared(step, &reply);
                    (reply.packets().cloned().collect(), None)
                }
                Err(error) => (Vec::new(), Some(error.to_string())),
            };
            let is_over = error.is_some();
            let (step, capabilities) = (step.clone(), self.client.capabilities());
            exchanges.push(Exchange { step, command, capabilities, packets, end: error });
            if is_over {
                return false;
            }
        }
        true
    }

    fn note_prepared(&mut self, step: &Step, reply: &Reply) {
        if let Step::Prepare(slot, _) = step {
            let id = reply.prepared().filter(|_| reply.failure().is_none());
            self.slots.set(*slot, id.map(|prepared| prepared.statement));
        }
    }
}
