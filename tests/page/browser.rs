//! A real browser, headless, driven by the Chrome DevTools Protocol over a pair of pipes
//! (<https://chromedevtools.github.io/devtools-protocol/>): one JSON object each, ended by a zero byte.

use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use harness::{Deadline, Scratch, state};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// Longest a browser may take to answer, also on a machine that is busy building.
const ANSWER: Duration = Duration::from_secs(60);

/// Where Debian's package puts it, and who else may be named.
const PROGRAM: &str = "/usr/bin/chromium";

/// A browser with one page. Dropping it kills the browser.
pub(crate) struct Browser {
    process: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    /// The page's session.
    session: Option<String>,
    asked: u64,
    /// What the page wrote to its console, and exceptions that nobody caught.
    pub(crate) complaints: Vec<String>,
    _folder: Scratch,
}

impl Browser {
    /// The program, unless it is not installed: then says so.
    pub(crate) fn program() -> Option<String> {
        let named = std::env::var("TIDEGATE_CHROMIUM").unwrap_or_else(|_| PROGRAM.into());
        if std::path::Path::new(&named).is_file() {
            return Some(named);
        }
        eprintln!(
            "\n*** SKIPPED: no browser at {named}; scripts/install-browser.sh installs one ***\n"
        );
        None
    }

    /// Starts it, with an empty page.
    pub(crate) async fn start(program: &str) -> Self {
        let folder = Scratch::new().unwrap();
        // It reads from descriptor 3 and writes to 4. Its sandbox needs privileges that a test has not; it sees
        // nothing but the page under test.
        let script = "exec \"$0\" --headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage \
                      --no-first-run --disable-extensions --disable-breakpad --disable-background-networking \
                      --hide-scrollbars --force-color-profile=srgb --user-data-dir=\"$1\" \
                      --remote-debugging-pipe about:blank 3<&0 4>&1 </dev/null >/dev/null 2>\"$1/log\"";
        let mut process = Command::new("sh")
            .args(["-c", script, program])
            .arg(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let (to, from) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        let mut browser = Self {
            process,
            to,
            from: BufReader::new(from),
            session: None,
            asked: 0,
            complaints: Vec::new(),
            _folder: folder,
        };
        let targets = browser.ask("Target.getTargets", json!({})).await;
        let mut pages = targets["targetInfos"].as_array().unwrap().iter();
        let page = pages.rfind(|target| target["type"] == "page").unwrap();
        let attach = json!({ "targetId": page["targetId"], "flatten": true });
        let attached = browser.ask("Target.attachToTarget", attach).await;
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page.enable", "Runtime.enable", "Log.enable"] {
            browser.ask(domain, json!({})).await;
        }
        browser
    }

    /// Ends it, with all that it has started.
    pub(crate) async fn close(mut self) {
        self.session = None;
        self.ask("Browser.close", json!({})).await;
        self.process.wait().await.unwrap();
    }

    /// Asks for something, and returns the result.
    pub(crate) async fn ask(&mut self, method: &str, params: Value) -> Value {
        self.asked += 1;
        let id = self.asked;
        let mut request = json!({ "id": id, "method": method, "params": params });
        if let Some(session) = &self.session {
            request["sessionId"] = json!(session);
        }
        let mut bytes = request.to_string().into_bytes();
        bytes.push(0);
        self.to.write_all(&bytes).await.unwrap();
        let answer = tokio::time::timeout(ANSWER, async {
            loop {
                let said = self.hear().await;
                if said["id"] == id {
                    return said;
                }
            }
        });
        let answer =
            answer.await.unwrap_or_else(|_| panic!("{method}: the browser does not answer"));
        assert_eq!(answer["error"], Value::Null, "{method}: {answer:#}");
        answer["result"].clone()
    }

    /// The next that the browser says; complaints are kept.
    async fn hear(&mut self) -> Value {
        let mut bytes = Vec::new();
        self.from.read_until(0, &mut bytes).await.unwrap();
        assert_eq!(bytes.pop(), Some(0), "the browser has ended");
        let said: Value = serde_json::from_slice(&bytes).unwrap();
        let what = match said["method"].as_str() {
            Some("Runtime.exceptionThrown") => Some(&said["params"]["exceptionDetails"]),
            Some("Log.entryAdded") => Some(&said["params"]["entry"]),
            Some("Runtime.consoleAPICalled") => Some(&said["params"]),
            _ => None,
        };
        self.complaints.extend(what.map(Value::to_string));
        said
    }

    /// Loads a page.
    pub(crate) async fn open(&mut self, url: &str) {
        self.ask("Page.navigate", json!({ "url": url })).await;
        self.until("the page is loaded", "document.readyState === 'complete'").await;
    }

    /// What an expression of JavaScript is; waits for a promise.
    pub(crate) async fn evaluate(&mut self, expression: &str) -> Value {
        let params = json!({
            "expression": expression, "awaitPromise": true, "returnByValue": true,
        });
        let told = self.ask("Runtime.evaluate", params).await;
        assert_eq!(told["exceptionDetails"], Value::Null, "{expression}: {told:#}");
        told["result"]["value"].clone()
    }

    /// Waits until an expression is true.
    pub(crate) async fn until(&mut self, what: &str, expression: &str) {
        let deadline = Deadline::after(ANSWER);
        while self.evaluate(&format!("!!({expression})")).await != true {
            if deadline.is_over() {
                let body = self.evaluate("document.body.innerText").await;
                panic!("{what}: {expression} is not so: {body:#} {:?}", self.complaints);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Presses and releases a key, by its name and what it writes.
    pub(crate) async fn press(&mut self, key: &str, code: u32) {
        let text = match key {
            "Enter" => "\r",
            " " => " ",
            _ => "",
        };
        let params = json!({
            "type": "keyDown", "key": key, "code": key, "windowsVirtualKeyCode": code, "text": text,
        });
        self.ask("Input.dispatchKeyEvent", params).await;
        let params =
            json!({ "type": "keyUp", "key": key, "code": key, "windowsVirtualKeyCode": code });
        self.ask("Input.dispatchKeyEvent", params).await;
    }

    /// Types into what has the focus.
    pub(crate) async fn write(&mut self, text: &str) {
        self.ask("Input.insertText", json!({ "text": text })).await;
    }

    /// Presses Tab until an expression about what has the focus, `it`, is true.
    pub(crate) async fn tab_to(&mut self, what: &str, expression: &str) {
        for _ in 0..100 {
            self.press("Tab", 9).await;
            let so = format!("((it) => !!({expression}))(document.activeElement)");
            if self.evaluate(&so).await == true {
                return;
            }
        }
        panic!("no Tab leads to {what}");
    }

    /// Shows the page so wide, and dark or light.
    pub(crate) async fn look(&mut self, width: u32, scheme: &str) {
        let size =
            json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false });
        self.ask("Emulation.setDeviceMetricsOverride", size).await;
        let scheme = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.ask("Emulation.setEmulatedMedia", scheme).await;
    }

    /// Keeps a picture of the whole page, or of a dialog on what of it can be seen, in `.tidegate/page/`.
    pub(crate) async fn picture(&mut self, name: &str) {
        let metrics = self.ask("Page.getLayoutMetrics", json!({})).await;
        let mut clip = metrics["cssContentSize"].clone();
        clip["scale"] = json!(1);
        let what = match self.evaluate("!!document.querySelector('dialog[open]')").await == true {
            true => json!({ "format": "png" }),
            false => json!({ "format": "png", "captureBeyondViewport": true, "clip": clip }),
        };
        let shot = self.ask("Page.captureScreenshot", what).await;
        let folder = state().join("page");
        std::fs::create_dir_all(&folder).unwrap();
        let encoded = shot["data"].as_str().unwrap();
        let bytes = STANDARD.decode(encoded).unwrap();
        std::fs::write(folder.join(format!("{name}.png")), bytes).unwrap();
    }
}
