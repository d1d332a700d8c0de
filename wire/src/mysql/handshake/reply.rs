use super::{BufMut, BytesMut, Malformed, Reader, put_nul_bytes, write_packet};

const OK: u8 = 0x00;
const MORE_DATA: u8 = 0x01;
const NEXT_FACTOR: u8 = 0x02;
const SWITCH: u8 = 0xFE;
const ERR: u8 = 0xFF;

/// What a server may send once the client has said who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthReply<'a> {
    /// The client is in; the packet is an OK packet.
    Ok,
    /// The client is refused; the packet is an ERR packet.
    Err,
    /// Another plugin is asked for.
    Switch(AuthSwitch<'a>),
    /// The plugin of before 4.1 is asked for. It is broken: never answer it.
    SwitchToOldPassword,
    /// The plugin goes on; what it says follows.
    More(&'a [u8]),
    /// A second factor is asked for (MySQL 8.0.27 and up).
    NextFactor,
}

impl<'a> AuthReply<'a> {
    /// Reads the payload of a packet that answers a proof.
    pub fn parse(payload: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new("authentication reply", payload);
        Ok(match reader.u8()? {
            OK => Self::Ok,
            ERR => Self::Err,
            MORE_DATA => Self::More(reader.rest()),
            NEXT_FACTOR => Self::NextFactor,
            SWITCH if reader.is_empty() => Self::SwitchToOldPassword,
            SWITCH => {
                let plugin = reader.nul_bytes()?;
                let data = reader.rest();
                Self::Switch(AuthSwitch { plugin, data: data.strip_suffix(&[0]).unwrap_or(data) })
            }
            _ => return Err(Reader::new("authentication reply", payload).err("unknown kind")),
        })
    }
}

/// Asks the client to begin anew with another plugin.
/// <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase_packets_protocol_auth_switch_request.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuthSwitch<'a> {
    /// The plugin to use.
    pub plugin: &'a [u8],
    /// The challenge, without the NUL that ends it on the wire.
    pub data: &'a [u8],
}

impl AuthSwitch<'_> {
    /// Appends the packet. Returns the next sequence id.
    pub fn put(&self, out: &mut BytesMut, seq: u8) -> u8 {
        write_packet(out, seq, |out| {
            out.put_u8(SWITCH);
            put_nul_bytes(out, self.plugin);
            out.put_slice(self.data);
            out.put_u8(0);
        })
    }
}

/// Something more that the server's half of a plugin has to say.
/// <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase_packets_protocol_auth_more_data.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuthMoreData<'a>(pub &'a [u8]);

impl AuthMoreData<'_> {
    /// Appends the packet. Returns the next sequence id.
    pub fn put(&self, out: &mut BytesMut, seq: u8) -> u8 {
        write_packet(out, seq, |out| {
            out.put_u8(MORE_DATA);
            out.put_slice(self.0);
        })
    }
}
