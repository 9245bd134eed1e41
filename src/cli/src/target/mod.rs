//! `vajra-node target`: a small HTTP server to try load tests against.
//!
//! It supports HTTP/1.1, and HTTP/2 with prior knowledge. It answers every request with status 200
//! after the configured latency, counts the requests, and can record when they arrive. It uses one
//! thread, as it would otherwise compete with a generator on the same machine. Latencies have the
//! timer resolution of tokio, one millisecond.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::fs::File;
use std::future::Future;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::rt::Executor;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;

use vajra_core::splitmix::SplitMix64;

/// Options of the target.
#[derive(Clone, Debug, Default)]
pub struct TargetOptions {
    /// Time from request to response.
    pub latency: Duration,
    /// Maximum deviation of the latency, earlier or later; uniformly distributed.
    pub jitter: Duration,
    /// Share of requests answered with status 500, 0 to 1.
    pub error_rate: f64,
    /// File for the receive time of every request: nanoseconds of the monotonic clock, one per line.
    /// Complete after a response of `/_stats` and at the end.
    pub arrivals: Option<PathBuf>,
    /// Seed of the random numbers.
    pub seed: u64,
}

/// Pause after a failed accept: usually all file descriptors are in use, and an immediate retry
/// would use the CPU time needed to free one.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// Serves until `shutdown` resolves. Returns the number of requests received.
///
/// # Errors
/// The arrivals file cannot be created or written.
pub async fn serve(
    listener: TcpListener,
    options: TargetOptions,
    shutdown: impl Future<Output = ()>,
) -> io::Result<u64> {
    let state = Rc::new(State::new(options)?);
    let connections = LocalSet::new();
    let accepting = accept(listener, state.clone());
    connections
        .run_until(async {
            tokio::select! {
                () = accepting => {}
                () = shutdown => {}
            }
        })
        .await;
    drop(connections);
    state.flush()?;
    Ok(state.served.get())
}

async fn accept(listener: TcpListener, state: Rc<State>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::task::spawn_local(connection(stream, state.clone()));
            }
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

async fn connection(stream: TcpStream, state: Rc<State>) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let state = state.clone();
        async move { Ok::<_, Infallible>(state.answer(request).await) }
    });
    // Clients may disconnect at any time.
    let mut server = auto::Builder::new(Local);
    server.http1().pipeline_flush(true);
    let _ = server.serve_connection(TokioIo::new(stream), service).await;
}

/// Runs the streams of an HTTP/2 connection on the thread of the connection.
#[derive(Clone)]
struct Local;

impl<F: Future<Output: 'static> + 'static> Executor<F> for Local {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}

struct State {
    latency: Duration,
    jitter: Duration,
    error_rate: f64,
    served: Cell<u64>,
    random: RefCell<SplitMix64>,
    arrivals: Option<RefCell<BufWriter<File>>>,
}

impl State {
    fn new(options: TargetOptions) -> io::Result<State> {
        Ok(State {
            latency: options.latency,
            jitter: options.jitter,
            error_rate: options.error_rate,
            served: Cell::new(0),
            random: RefCell::new(SplitMix64::new(options.seed)),
            arrivals: options.arrivals.as_deref().map(create).transpose()?,
        })
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        if request.uri().path() == "/_stats" {
            return self.stats();
        }
        self.served.set(self.served.get() + 1);
        if let Some(file) = &self.arrivals {
            // An error, such as a full disk, is reported by the flush at the end.
            let _ = writeln!(file.borrow_mut(), "{}", monotonic_ns());
        }
        let failing = self.error_rate > 0.0 && self.random.borrow_mut().unit() < self.error_rate;
        let mut body = request.into_body();
        while !body.is_end_stream() {
            if !matches!(body.frame().await, Some(Ok(_))) {
                break;
            }
        }
        let pause = self.pause();
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        if failing {
            let mut response = Response::new(Full::new(Bytes::from_static(b"error\n")));
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            return response;
        }
        Response::new(Full::new(Bytes::from_static(b"ok\n")))
    }

    fn pause(&self) -> Duration {
        if self.jitter.is_zero() {
            return self.latency;
        }
        let spread = self.jitter.mul_f64(2.0 * self.random.borrow_mut().unit());
        (self.latency + spread).saturating_sub(self.jitter)
    }

    fn stats(&self) -> Response<Full<Bytes>> {
        let _ = self.flush();
        let text = format!("{{\"served\":{}}}\n", self.served.get());
        let mut response = Response::new(Full::new(Bytes::from(text)));
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }

    fn flush(&self) -> io::Result<()> {
        match &self.arrivals {
            Some(file) => file.borrow_mut().flush(),
            None => Ok(()),
        }
    }
}

fn create(path: &Path) -> io::Result<RefCell<BufWriter<File>>> {
    Ok(RefCell::new(BufWriter::with_capacity(
        1 << 20,
        File::create(path)?,
    )))
}

fn monotonic_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

#[cfg(test)]
mod tests;
