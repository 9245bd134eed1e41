//! State that all handlers share.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::build_info::BuildInfo;
use super::cache::Cached;
use super::options::ApiOptions;
use vajra_runtime::handle::NodeHandle;

/// Maximum number of open event streams. A browser opens a few; a faulty script opens thousands.
pub(super) const MAX_STREAMS: usize = 64;
/// Reports rendered at once; further requests wait. Rendering keeps a core busy for up to a second,
/// which the engine may need.
pub(super) const MAX_REPORTS: usize = 1;
/// Plans parsed at once; further requests wait. A plan of the largest size keeps a core busy for a
/// noticeable time.
pub(super) const MAX_PLANS: usize = 2;

/// State of a served API.
#[derive(Clone)]
pub(super) struct Shared {
    /// The node that is served.
    pub node: NodeHandle,
    /// Token that requests must carry; none on loopback.
    pub token: Option<Arc<str>>,
    /// One permit per open event stream.
    pub streams: Arc<Semaphore>,
    /// One permit per report or timeline being rendered.
    pub reports: Arc<Semaphore>,
    /// One permit per plan being parsed.
    pub plans: Arc<Semaphore>,
    /// JSON of the last `swarm` event.
    pub swarm_event: Cached<Arc<str>>,
    /// Text of the last metrics page.
    pub metrics: Cached<Arc<str>>,
    /// Build of the running program.
    pub build: BuildInfo,
}

impl Shared {
    pub fn new(node: NodeHandle, options: ApiOptions) -> Shared {
        Shared {
            node,
            token: options.token.map(Arc::from),
            streams: Arc::new(Semaphore::new(MAX_STREAMS)),
            reports: Arc::new(Semaphore::new(MAX_REPORTS)),
            plans: Arc::new(Semaphore::new(MAX_PLANS)),
            swarm_event: Cached::default(),
            metrics: Cached::default(),
            build: options.build,
        }
    }
}
