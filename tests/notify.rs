//! A service manager is told when the guard is ready, reads its configuration again, and stops.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::net::UnixDatagram;
use std::process::Stdio;
use std::time::Duration;

use harness::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;

/// The next message that is not the watchdog's.
fn told(manager: &UnixDatagram) -> String {
    loop {
        let mut buffer = [0; 256];
        let len = manager.recv(&mut buffer).expect("the guard tells in time");
        let message = String::from_utf8_lossy(&buffer[..len]).into_owned();
        if message != "WATCHDOG=1" {
            return message;
        }
    }
}

async fn post(admin: SocketAddr, path: &str) {
    let mut stream = TcpStream::connect(admin).await.unwrap();
    let head = "Host: localhost\r\nX-Tidegate: 1\r\nContent-Length: 0\r\nConnection: close";
    stream.write_all(format!("POST {path} HTTP/1.1\r\n{head}\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 20"), "{answer}");
}

#[tokio::test]
async fn the_service_manager_is_told() {
    let server = Server::start(Engine::MariaDb).await.unwrap();
    let folder = Scratch::new().unwrap();
    let (socket, config) = (folder.path().join("notify"), folder.path().join("tidegate.toml"));
    let manager = UnixDatagram::bind(&socket).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let doors = Doors { listener: local(free_port().unwrap()), admin: local(free_port().unwrap()) };
    fs::write(&config, Setup::default().text(&server, doors)).unwrap();
    let mut guard = Command::new(program().unwrap())
        .args(["guard", "-c"])
        .arg(&config)
        .env("NOTIFY_SOCKET", &socket)
        .env("WATCHDOG_USEC", "200000")
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    assert_eq!(told(&manager), "READY=1");
    let mut client = Client::login(doors.listener, &APP).await.expect("ready means ready");
    done(&mut client, "SELECT 1").await;
    let mut buffer = [0; 256];
    let len = manager.recv(&mut buffer).unwrap();
    assert_eq!(&buffer[..len], b"WATCHDOG=1");
    post(doors.admin, "/api/v1/reload").await;
    assert_eq!(told(&manager), "RELOADING=1");
    assert_eq!(told(&manager), "READY=1");
    post(doors.admin, "/api/v1/drain").await;
    assert_eq!(told(&manager), "STOPPING=1");
    eventually("the guard ends", Duration::from_secs(30), async || guard.try_wait().unwrap()).await;
}
