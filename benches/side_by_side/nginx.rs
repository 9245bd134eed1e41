//! The server in the modes `closed`, `open` and `stall`.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use crate::arguments::{Protocol, Result};

/// Address that nginx serves.
pub const ADDRESS: &str = "127.0.0.1:18080";
/// Address of its status page.
const STATUS: &str = "127.0.0.1:18081";

/// An nginx with one worker, on CPU core 0.
pub struct Nginx {
    dir: tempfile::TempDir,
}

impl Nginx {
    pub fn start(protocol: Protocol) -> Result<Nginx> {
        let dir = tempfile::tempdir()?;
        let at = dir.path().display();
        let certificate = rcgen::generate_simple_self_signed(vec!["127.0.0.1".into()])?;
        std::fs::write(dir.path().join("cert"), certificate.cert.pem())?;
        std::fs::write(
            dir.path().join("key"),
            certificate.signing_key.serialize_pem(),
        )?;
        let ssl = match protocol.is_secure() {
            true => "ssl",
            false => "",
        };
        let http2 = match protocol.is_http2() {
            true => "http2",
            false => "",
        };
        let conf = format!(
            "daemon on; worker_processes 1; worker_cpu_affinity 0001; pid {at}/pid; \
             error_log {at}/error.log warn; events {{ worker_connections 4096; }} http {{ \
             access_log off; keepalive_requests 100000000; keepalive_timeout 3600s; \
             default_type text/plain; client_body_temp_path {at}; proxy_temp_path {at}; \
             fastcgi_temp_path {at}; uwsgi_temp_path {at}; scgi_temp_path {at}; \
             server {{ listen {STATUS}; location / {{ stub_status; }} }} server {{ \
             listen {ADDRESS} {ssl} {http2} backlog=4096; ssl_protocols TLSv1.3; \
             ssl_certificate {at}/cert; ssl_certificate_key {at}/key; location / {{ return 200 \"ok\\n\"; }} \
             }} }}"
        );
        let file = dir.path().join("nginx.conf");
        std::fs::write(&file, conf)?;
        let started = Command::new("taskset")
            .args(["-c", "0", "nginx", "-c"])
            .arg(&file)
            .status();
        if !started.is_ok_and(|s| s.success()) {
            return Err("nginx does not start; install it (Debian: apt install nginx)".into());
        }
        let nginx = Nginx { dir };
        for _ in 0..100 {
            if nginx.served().is_ok() {
                return Ok(nginx);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err("nginx does not answer".into())
    }

    /// Number of requests served, including the one for this number.
    pub fn served(&self) -> Result<u64> {
        let mut stream = TcpStream::connect(STATUS)?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        let counts = text
            .lines()
            .skip_while(|l| !l.starts_with("server accepts"))
            .nth(1);
        let counts = counts.ok_or("no status from nginx")?;
        Ok(counts
            .split_whitespace()
            .nth(2)
            .ok_or("no count")?
            .parse()?)
    }

    fn master(&self) -> Result<String> {
        Ok(std::fs::read_to_string(self.dir.path().join("pid"))?
            .trim()
            .to_owned())
    }

    /// Suspends the worker.
    pub fn pause(&self, length: Duration) -> Result<()> {
        let master = self.master()?;
        let children = std::fs::read_to_string(format!("/proc/{master}/task/{master}/children"))?;
        let worker = children
            .split_whitespace()
            .next()
            .ok_or("no worker")?
            .to_owned();
        Command::new("kill").args(["-STOP", &worker]).status()?;
        std::thread::sleep(length);
        Command::new("kill").args(["-CONT", &worker]).status()?;
        Ok(())
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        if let Ok(master) = self.master() {
            let _ = Command::new("kill").args(["-TERM", &master]).status();
            while TcpStream::connect(ADDRESS).is_ok() {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }
}
