//! PgBouncer's `auth_hba_file`, which has the form of the server's `pg_hba.conf`: the first line that
//! fits a client says how it proves itself. <https://www.pgbouncer.org/config.html#hba-file-format>
//!
//! A guard asks all clients for their password but those of networks in `auth.trust`. So lines that
//! trust a whole network are taken, if none before them says otherwise of some of it; lines that ask for
//! a password are what holds anyway; all others are listed.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::Path;

use ipnet::IpNet;

/// What the file says.
#[derive(Debug, Default)]
pub(super) struct Hba {
    /// From where clients need not prove who they are.
    pub(super) trusted: Vec<IpNet>,
    /// Lines that were not taken, each with what to do.
    pub(super) others: Vec<(String, &'static str)>,
}

const REFUSED: &str = "nobody is refused by address: leave that to a firewall, or to the server's own \
                       pg_hba.conf for accounts";
const PROVE: &str = "no equivalent: these clients prove their password";
const SOME: &str = "not taken: trust is for all databases and users of a network; see auth.trust";
const SOCKET: &str = "not taken: for the guard, clients of a Unix socket are at 127.0.0.1; put that into \
                      auth.trust if those of loopback are to be trusted as well";
const TLS: &str = "not taken: networks are trusted with or without TLS; see auth.trust";
const NAMED: &str = "not taken: a network is needed, not a name; see auth.trust";
const LATER: &str =
    "not taken: a line before it says otherwise of some of that network; see auth.trust";

/// Reads a file.
pub(super) fn read(path: &Path) -> io::Result<Hba> {
    fs::read_to_string(path).map(|text| parse(&text))
}

fn parse(text: &str) -> Hba {
    let mut hba = Hba::default();
    let mut asked: Vec<IpNet> = Vec::new();
    for line in text.lines().map(|line| line.split('#').next().unwrap_or_default().trim()) {
        let words: Vec<&str> = line.split_whitespace().map(|word| word.trim_matches('"')).collect();
        let (networks, method) = match words[..] {
            [] => continue,
            ["local", _, _, method, ..] => (Some(Vec::new()), method),
            [_, _, _, address, mask, method, ..] if mask.parse::<IpAddr>().is_ok() => {
                (masked(address, mask), method)
            }
            [_, _, _, address, method, ..] => (networks(address), method),
            _ => {
                hba.others.push((line.into(), "this line is not understood"));
                continue;
            }
        };
        let is_whole = words[1..3] == ["all", "all"];
        let overlaps = |network: &IpNet| {
            asked.iter().any(|other| other.contains(network) || network.contains(other))
        };
        let advice = match (method, networks) {
            ("trust", _) if words[0] == "local" => SOCKET,
            ("trust", _) if !is_whole => SOME,
            ("trust", _) if words[0] != "host" => TLS,
            ("trust", None) => NAMED,
            ("trust", Some(networks)) if networks.iter().any(overlaps) => LATER,
            ("trust", Some(networks)) => {
                hba.trusted.extend(networks);
                continue;
            }
            (method, networks) => {
                // A name may be anywhere.
                asked.extend(networks.unwrap_or_else(everywhere));
                match method {
                    "md5" | "scram-sha-256" | "password" | "plain" => continue,
                    "reject" => REFUSED,
                    _ => PROVE,
                }
            }
        };
        hba.others.push((line.into(), advice));
    }
    hba
}

fn everywhere() -> Vec<IpNet> {
    [IpAddr::from([0; 4]), IpAddr::from([0; 16])]
        .map(|zero| IpNet::new(zero, 0).expect("0 is a length"))
        .into()
}

fn networks(text: &str) -> Option<Vec<IpNet>> {
    match text {
        "all" => Some(everywhere()),
        _ => {
            Some(vec![text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))?])
        }
    }
}

fn masked(address: &str, mask: &str) -> Option<Vec<IpNet>> {
    Some(vec![IpNet::with_netmask(address.parse().ok()?, mask.parse().ok()?).ok()?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_networks_are_trusted_unless_a_line_before_says_otherwise() {
        let hba = parse(
            "# TYPE DATABASE USER ADDRESS METHOD\n\
             local all all trust\n\
             host all all 127.0.0.1/32 trust # here\n\
             host all all 192.168.7.0 255.255.255.0 trust\n\
             host shop all 10.1.0.0/16 trust\n\
             hostssl all all 10.2.0.0/16 trust\n\
             host all all 10.3.0.0/16 scram-sha-256\n\
             host all all 10.3.4.0/24 trust\n\
             host all all 10.4.0.0/16 reject\n\
             host all all 10.0.0.0/8 trust\n\
             host all all samehost trust\n\
             host all all ::1/128 cert\n\
             host all all 0.0.0.0/0 md5\n\
             nonsense\n",
        );
        let trusted: Vec<_> = hba.trusted.iter().map(ToString::to_string).collect();
        assert_eq!(trusted, ["127.0.0.1/32", "192.168.7.0/24"]);
        let others: Vec<_> = hba.others.iter().map(|(line, advice)| (&**line, *advice)).collect();
        assert_eq!(
            others,
            [
                ("local all all trust", SOCKET),
                ("host shop all 10.1.0.0/16 trust", SOME),
                ("hostssl all all 10.2.0.0/16 trust", TLS),
                ("host all all 10.3.4.0/24 trust", LATER),
                ("host all all 10.4.0.0/16 reject", REFUSED),
                ("host all all 10.0.0.0/8 trust", LATER),
                ("host all all samehost trust", NAMED),
                ("host all all ::1/128 cert", PROVE),
                ("nonsense", "this line is not understood"),
            ]
        );
    }
}
