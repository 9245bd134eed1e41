//! A real browser, driven by Debian's `chromedriver`.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};

use crate::common::TIMEOUT;

/// Path of the driver in Debian's package `chromium-driver`.
pub const CHROMEDRIVER: &str = "/usr/bin/chromedriver";
/// Interval for polling the state of a page.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// A browser with its own profile; closed when the test ends.
pub struct Browser {
    driver: Child,
    pub client: Client,
}

impl Browser {
    /// Opens a browser. `phone` emulates the screen of a phone.
    pub async fn open(dir: &Path, phone: bool) -> Browser {
        let port = free_port();
        let driver = Command::new(CHROMEDRIVER)
            .args([format!("--port={port}"), "--log-level=SEVERE".into()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let profile = dir.join(if phone { "phone" } else { "desk" });
        let mut options = json!({"args": [
            "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
            "--disable-component-update", "--disable-sync", "--no-first-run",
            "--window-size=1440,900", format!("--user-data-dir={}", profile.display()),
        ]});
        if phone {
            options["mobileEmulation"] =
                json!({"deviceMetrics": {"width": 390, "height": 844, "pixelRatio": 2}});
        }
        let capabilities = json!({"browserName": "chrome", "goog:chromeOptions": options});
        let url = format!("http://127.0.0.1:{port}");
        let start = Instant::now();
        let client = loop {
            let mut builder = ClientBuilder::new(HttpConnector::new());
            builder.capabilities(capabilities.as_object().unwrap().clone());
            match builder.connect(&url).await {
                Ok(client) => break client,
                Err(e) => assert!(start.elapsed() < TIMEOUT, "no browser: {e}"),
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        };
        Browser { driver, client }
    }

    /// Opens a browser with a page of the node with this API address, for example `#/start`.
    pub async fn open_page(dir: &Path, api: &str, page: &str) -> Browser {
        let browser = Browser::open(dir, false).await;
        browser.goto(api, page).await;
        browser
    }

    /// Opens a page of the node with this API address.
    pub async fn goto(&self, api: &str, page: &str) {
        let url = format!("http://{api}/{page}");
        self.client.goto(&url).await.unwrap();
    }

    /// Runs a script and returns its value.
    pub async fn js(&self, script: &str) -> Value {
        self.client.execute(script, Vec::new()).await.unwrap()
    }

    /// Waits until a script returns a value other than `null` and `false`, and returns the value.
    pub async fn wait_for(&self, what: &str, script: &str) -> Value {
        let start = Instant::now();
        loop {
            // Scripts fail while the browser navigates to another page.
            let seen = self.client.execute(script, Vec::new()).await;
            if let Ok(value) = &seen
                && !matches!(value, Value::Null | Value::Bool(false))
            {
                return value.clone();
            }
            if start.elapsed() > TIMEOUT {
                let text = self.js("return document.body.innerText").await;
                panic!("{what} did not appear ({seen:?}); text of the page:\n{text}");
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Waits until the page contains a text.
    pub async fn wait_for_text(&self, text: &str) {
        let script = format!("return document.body.innerText.includes({})", json!(text));
        self.wait_for(text, &script).await;
    }

    /// Clicks an element, after waiting until it exists and is enabled.
    pub async fn click(&self, selector: &str) {
        let wait = self.client.wait().at_most(TIMEOUT);
        let found = wait.for_element(Locator::Css(selector)).await;
        let element = found.unwrap_or_else(|e| panic!("{selector}: {e}"));
        let ready = format!(
            "const e = document.querySelector({}); return e && !e.disabled",
            json!(selector)
        );
        self.wait_for(selector, &ready).await;
        drop(element);
        self.client
            .find(Locator::Css(selector))
            .await
            .unwrap()
            .click()
            .await
            .unwrap_or_else(|e| panic!("{selector}: {e}"));
    }

    /// Enters text into the input with a label.
    pub async fn fill_in(&self, label: &str, text: &str) {
        let path = format!("//label[starts-with(., '{label}')]/following-sibling::input");
        let wait = self.client.wait().at_most(TIMEOUT);
        let field = wait.for_element(Locator::XPath(&path)).await.unwrap();
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    /// Waits for a new window and switches to it.
    pub async fn switch_to_new_window(&self) {
        let start = Instant::now();
        let here = self.client.window().await.unwrap();
        loop {
            let all = self.client.windows().await.unwrap();
            if let Some(other) = all.into_iter().find(|w| *w != here) {
                return self.client.switch_to_window(other).await.unwrap();
            }
            assert!(start.elapsed() < TIMEOUT, "no window was opened");
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Saves a screenshot for the documentation if `VAJRA_SCREENSHOTS` names a folder. If
    /// `VAJRA_SCREENSHOTS_ALL` names one, also saves the full page on desktop and phone, in light
    /// and dark, for reviews of the layout.
    pub async fn screenshot(&self, name: &str) {
        self.js("window.scrollTo(0, 0)").await;
        if let Some(dir) = std::env::var_os("VAJRA_SCREENSHOTS") {
            self.wait_until_settled().await;
            self.save(&Path::new(&dir).join(name)).await;
        }
        let Some(dir) = std::env::var_os("VAJRA_SCREENSHOTS_ALL") else {
            return;
        };
        let (width, height) = self.client.get_window_size().await.unwrap();
        for (screen, width) in [("desk", 1440), ("phone", 390)] {
            for theme in ["light", "dark"] {
                self.client.set_window_size(width, 900).await.unwrap();
                let themed = format!(
                    "if (vajraTheme.current() !== {theme:?}) vajraTheme.toggle(); \
                     return Math.max(900, document.documentElement.scrollHeight) + outerHeight - innerHeight"
                );
                let tall = self.wait_for(theme, &themed).await.as_u64().unwrap();
                let tall = u32::try_from(tall).unwrap();
                self.client.set_window_size(width, tall).await.unwrap();
                self.wait_until_settled().await;
                let name = format!("{screen}-{theme}-{name}");
                self.save(&Path::new(&dir).join(name)).await;
            }
        }
        let (width, height) = (width as u32, height as u32);
        self.client.set_window_size(width, height).await.unwrap();
        self.js("if (vajraTheme.current() === 'dark') vajraTheme.toggle()")
            .await;
    }

    /// Waits until toasts and animations have ended.
    async fn wait_until_settled(&self) {
        self.wait_for(
            "the end of toasts and animations",
            "return !document.querySelector('.toast') && document.getAnimations().length === 0",
        )
        .await;
    }

    async fn save(&self, file: &Path) {
        let png = self.client.screenshot().await.unwrap();
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, png).unwrap();
    }

    /// Asserts that the page reported no script error and no violation of its content policy.
    pub async fn assert_clean(&self) {
        let errors = self.js("return window.vajraErrors").await;
        assert_eq!(errors, json!([]));
    }

    /// Asserts what [`Browser::assert_clean`] does, and closes the browser.
    pub async fn close_without_errors(self) {
        self.assert_clean().await;
        self.close().await;
    }

    async fn close(mut self) {
        let _ = self.client.clone().close().await;
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}
