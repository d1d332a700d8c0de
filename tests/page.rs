//! The live page in a real browser, in front of a guard with real load and a real pile-up: it says what is wrong, it
//! moves, a switch is flipped by keys alone, names of the database's stay text, axe finds nothing serious, light and
//! dark, wide and narrow. Pictures are kept in `.tidegate/page`.

#[path = "page/browser.rs"]
mod browser;

use std::cell::Cell;
use std::time::Duration;

use harness::*;
use serde_json::Value;
use tokio::task::JoinSet;

use self::browser::Browser;

const SOON: Duration = Duration::from_secs(30);

/// A name that would do harm if it were taken for HTML.
const EVIL: &str = "<img src=x onerror=alert(1)>";

const SECTIONS: &str = "[class.default]\nstatement_time = \"off\"\ntransaction_time = \"off\"\n\
                        idle_in_transaction_time = \"off\"\nlock_wait_time = \"60s\"\nqueue_time = \"60s\"\n\
                        [class.jobs]\nin_flight = 12\nstatement_time = \"off\"\ntransaction_time = \"off\"\n\
                        lock_wait_time = \"60s\"\nqueue_time = \"60s\"\n\
                        [[rule]]\nname = \"jobs\"\nclass = \"jobs\"\ntag = { job = \"*\" }\n\
                        [limit]\nmode = \"observe\"\n[melt]\nmode = \"observe\"\n[hot]\nmode = \"observe\"\n";

/// A server, a guard before it, and clients that use both all the time.
struct Scene {
    server: Server,
    guard: Guard,
    load: JoinSet<()>,
    waiting: JoinSet<()>,
}

impl Scene {
    async fn set(engine: Engine) -> Self {
        let server = Server::start(engine).await.unwrap();
        let setup = Setup { connections: 32, ..Setup::with(SECTIONS) };
        let guard = Guard::start(&server, &setup).await.unwrap();
        let mut owner = Caller::login(engine, server.addr(), &APP).await.unwrap();
        owner.done("CREATE TABLE account (id INT PRIMARY KEY, n INT NOT NULL)").await;
        owner
            .done("INSERT INTO account VALUES (1, 0), (2, 0), (3, 0), (4, 0), (5, 0), (6, 0)")
            .await;
        owner.done(&format!("CREATE TABLE `{EVIL}` (id INT PRIMARY KEY, n INT NOT NULL)")).await;
        owner.done(&format!("INSERT INTO `{EVIL}` VALUES (1, 0)")).await;
        let mut load = JoinSet::new();
        for id in 1..=6 {
            let mut client = Caller::login(engine, guard.addr(), &APP).await.unwrap();
            load.spawn(async move {
                loop {
                    let _refused =
                        client.ask(&format!("UPDATE account SET n = n + 1 WHERE id = {id}")).await;
                    let _refused = client.ask("SELECT SUM(n) FROM account").await;
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            });
        }
        Self { server, guard, load, waiting: JoinSet::new() }
    }

    async fn client(&self) -> Caller {
        Caller::login(self.server.engine(), self.guard.addr(), &APP).await.unwrap()
    }

    /// One who did not come through the guard holds a row, and eight jobs want it.
    async fn pile_up(&mut self) -> Caller {
        let mut holder =
            Caller::login(self.server.engine(), self.server.addr(), &APP).await.unwrap();
        holder.done("BEGIN").await;
        holder.done(&format!("UPDATE `{EVIL}` SET n = 1 WHERE id = 1")).await;
        for _ in 0..8 {
            let mut client = self.client().await;
            self.waiting.spawn(async move {
                let sql = format!("UPDATE `{EVIL}` SET n = n + 1 WHERE id = 1 /*job='mail'*/");
                client.done(&sql).await;
            });
        }
        holder
    }

    async fn switches(&self) -> Value {
        self.guard.json("/api/v1/switches").await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_shows_a_pile_up_and_flips_a_switch_by_keys_alone() {
    let axe = state().join("axe/axe.min.js");
    let (Some(program), Ok(axe)) = (Browser::program(), std::fs::read_to_string(&axe)) else {
        eprintln!(
            "\n*** SKIPPED: no browser or no {}; scripts/install-browser.sh has both ***\n",
            axe.display()
        );
        return;
    };
    let mut scene = Scene::set(Engine::MariaDb).await;
    let mut page = Browser::start(&program).await;
    page.look(1280, "light").await;
    page.open(&format!("http://{}/", scene.guard.admin())).await;
    it_moves(&mut page).await;
    is_usable(&mut page, &axe, "calm").await;

    let mut holder = scene.pile_up().await;
    page.until("the pile-up is told", "document.querySelector('#state.trouble')").await;
    page.until(
        "who waits alike is one line",
        "document.querySelector('#locks').innerText.includes('8 that wait')",
    )
    .await;
    a_name_is_text(&mut page).await;
    let plain = scene.guard.get("/").await.unwrap().body;
    assert!(plain.contains("8 that wait"), "it is there without the script: {plain}");
    is_usable(&mut page, &axe, "pile-up").await;

    a_switch_is_flipped(&mut page, &scene, &axe).await;
    holder.done("COMMIT").await;
    while let Some(done) = scene.waiting.join_next().await {
        done.unwrap();
    }
    page.until("it is over", "document.querySelector('#state.calm')").await;

    assert_eq!(
        page.complaints,
        Vec::<String>::new(),
        "no script failed, no rule of the policy was broken"
    );
    scene.load.shutdown().await;
    scene.guard.crash();
    page.until(
        "a guard that is gone is seen to be",
        "document.querySelector('#link').innerText.startsWith('no answer for')",
    )
    .await;
    page.picture("gone").await;
    page.close().await;
}

const TOKEN: &str = "0123456789abcdef0123456789+/ABC=";

/// A guard whose admin side asks for the token, and where that is. Whether it is ready is asked elsewhere.
async fn with_token(server: &Server) -> (Guard, String) {
    let at = Cell::new(0);
    let text = |doors: Doors| {
        at.set(free_port().unwrap());
        let own = format!(
            "[admin]\naddress = \"127.0.0.1:{}\"\ntoken = \"{TOKEN}\"\nmetrics_address = ",
            at.get()
        );
        let text = Setup::with("[class.jobs]\nin_flight = 12\n").text(server, doors);
        text.replace("[admin]\naddress = ", &own)
    };
    let guard = Guard::start_with(text).await.unwrap();
    (guard, format!("http://127.0.0.1:{}/", at.get()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_is_asked_for_the_token_and_then_sees_the_page_move() {
    let axe = state().join("axe/axe.min.js");
    let (Some(program), Ok(axe)) = (Browser::program(), std::fs::read_to_string(&axe)) else {
        eprintln!("\n*** SKIPPED: no browser or no axe ***\n");
        return;
    };
    let server = Server::start(Engine::MariaDb).await.unwrap();
    let (mut guard, url) = with_token(&server).await;
    let mut page = Browser::start(&program).await;
    page.look(1280, "light").await;
    page.open(&url).await;
    page.until("it is asked", "location.pathname === '/login'").await;
    is_usable(&mut page, &axe, "login").await;
    page.until("one can type at once", "document.activeElement.name === 'token'").await;
    page.write("another").await;
    page.press("Enter", 13).await;
    page.until(
        "it is told",
        "document.querySelector('.failed')?.innerText.includes('not the token')",
    )
    .await;
    is_usable(&mut page, &axe, "login-failed").await;
    page.until("one can type again", "document.activeElement.name === 'token'").await;
    page.write(TOKEN).await;
    page.press("Enter", 13).await;
    page.until(
        "the page is shown",
        "location.pathname === '/' && document.querySelector('#state')",
    )
    .await;
    page.until("it is live", "document.querySelector('#link').innerText === 'live'").await;
    let said = page.evaluate("document.querySelector('.about').innerText").await;
    page.until("it moves", &format!("document.querySelector('.about').innerText !== {said}")).await;
    assert_eq!(page.evaluate("document.cookie").await, "", "no script can read it");

    // What the buttons do is done by those who have logged in, also as the browser sends it.
    let flip = "fetch('/api/v1/switches', { method: 'POST', headers: { 'X-Tidegate': '1' }, body: JSON.stringify(
                { target: 'class jobs', keep_ratio: 0, ttl_ms: 60000, reason: 'r', author: 'a' }) })
                .then((answer) => answer.status)";
    assert_eq!(page.evaluate(flip).await, 200);
    page.until("it is shown", "document.querySelector('#classes button[data-flip=on]')").await;

    // The refused token is in the console, and what the browser would rather have in a form; no more than that.
    let is_expected = |said: &&String| said.contains("403") || said.contains("\"verbose\"");
    let complaints: Vec<_> = page.complaints.iter().filter(|said| !is_expected(said)).collect();
    assert_eq!(complaints, Vec::<&String>::new());
    let config = guard.config();
    guard.crash();
    let log = config.with_extension("log");
    let arguments = [std::path::Path::new("guard"), "-c".as_ref(), &config];
    let _another = Process::start(&harness::program().unwrap(), arguments, &log).unwrap();
    page.until("another guard does not know it", "location.pathname === '/login'").await;
    page.close().await;
}

async fn it_moves(page: &mut Browser) {
    page.until("charts are drawn", "document.querySelectorAll('.plot canvas').length === 6").await;
    page.until("it is live", "document.querySelector('#link').innerText === 'live'").await;
    page.until(
        "there is work",
        "/^[1-9]/.test(document.querySelector('#figures .value').innerText)",
    )
    .await;
    let said = page.evaluate("document.querySelector('.about').innerText").await;
    let moved = format!("document.querySelector('.about').innerText !== {said}");
    page.until("the page moves by itself", &moved).await;
    page.until(
        "the charts move",
        "/now [1-9]/.test(document.querySelector('#chart-throughput .said').innerText)",
    )
    .await;
}

/// axe finds nothing serious, in both schemes and on a narrow screen, and nothing sticks out of it.
async fn is_usable(page: &mut Browser, axe: &str, name: &str) {
    for (width, scheme, look) in
        [(1280, "light", "light"), (1280, "dark", "dark"), (400, "light", "narrow")]
    {
        page.look(width, scheme).await;
        // Charts are drawn anew for another size.
        page.until("nothing sticks out", "document.documentElement.scrollWidth <= innerWidth")
            .await;
        page.picture(&format!("{name}-{look}")).await;
        page.evaluate(&format!("if (!globalThis.axe) {{ {axe} }}; undefined")).await;
        let found = page
            .evaluate(
                "axe.run(document, { resultTypes: ['violations'] }).then((found) => found.violations.map(
                     ({ id, impact, help, nodes }) => ({ id, impact, help, at: nodes.map((node) => node.html) })))",
            )
            .await;
        let is_serious =
            |one: &&Value| ["serious", "critical"].contains(&one["impact"].as_str().unwrap());
        let serious: Vec<_> = found.as_array().unwrap().iter().filter(is_serious).collect();
        assert!(serious.is_empty(), "{name} {look}: {serious:#?}");
        println!(
            "axe, {name} {look}: {} violations, none serious: {found}",
            found.as_array().unwrap().len()
        );
    }
    page.look(1280, "light").await;
}

async fn a_name_is_text(page: &mut Browser) {
    assert_eq!(page.evaluate("document.querySelectorAll('main img').length").await, 0);
    let said = page.evaluate("document.querySelector('#locks').innerText").await;
    assert!(said.as_str().unwrap().contains(EVIL), "{said}");
}

async fn a_switch_is_flipped(page: &mut Browser, scene: &Scene, axe: &str) {
    let button = "it.dataset.target === 'class jobs' && it.dataset.flip === 'off'";
    page.evaluate("document.querySelector('#state').focus()").await;
    page.tab_to("the button of class jobs", button).await;
    page.press("Enter", 13).await;
    page.until("it asks", "document.querySelector('#off').open").await;
    page.until("the reason has the focus", "document.activeElement.name === 'reason'").await;
    page.write("too much mail").await;
    page.tab_to("the name", "it.name === 'author'").await;
    page.write("ann").await;
    is_usable(page, axe, "switch").await;
    assert_eq!(scene.switches().await, Value::Array(vec![]), "nothing is done before one is sure");
    page.tab_to("the button that does it", "it.classList.contains('sure')").await;
    let word = page.evaluate("document.activeElement.innerText").await;
    assert_eq!(word, "Turn class jobs off for 10 minutes");
    page.press("Enter", 13).await;
    page.until("the dialog is gone", "!document.querySelector('#off').open").await;

    let set = scene.switches().await;
    assert_eq!(set[0]["target"], "class jobs", "{set:#}");
    assert_eq!((&set[0]["reason"], &set[0]["author"]), (&"too much mail".into(), &"ann".into()));
    assert!(set[0]["ends_in_ms"].as_u64() > Some(500_000), "{set:#}");
    let mut job = scene.client().await;
    let refusal = job.refused("SELECT 1 /*job='mail'*/").await;
    assert!(refusal.message.contains("too much mail"), "{refusal:?}");

    let on = "document.querySelector('#classes tr[data-key=\"class jobs\"] button[data-flip=on]')";
    page.until("the table offers to turn it on again", on).await;
    page.picture("switched").await;
    let button = "it.dataset.target === 'class jobs' && it.dataset.flip === 'on'";
    page.tab_to("the button that turns it on", button).await;
    page.press("Enter", 13).await;
    page.until("it asks", "document.querySelector('#on').open").await;
    page.press("Escape", 27).await;
    page.until("Escape changes its mind", "!document.querySelector('#on').open").await;
    assert_eq!(scene.switches().await.as_array().unwrap().len(), 1);
    page.press("Enter", 13).await;
    page.until("it asks again", "document.querySelector('#on').open").await;
    page.press("Enter", 13).await;
    eventually("it is on again", SOON, async || {
        (scene.switches().await == Value::Array(vec![])).then_some(())
    })
    .await;
    job.done("SELECT 1 /*job='mail'*/").await;
}
