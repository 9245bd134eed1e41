//! The generated messages, in the modules that their protobuf packages name.

#![allow(missing_docs, clippy::all)]

pub mod vajra {
    pub mod v1 {
        include!(concat!(env!("OUT_DIR"), "/vajra.v1.rs"));
    }
}

pub mod vajraedge {
    pub mod distributed {
        include!(concat!(env!("OUT_DIR"), "/vajraedge.distributed.rs"));
    }
}

pub use vajra::v1;
pub use vajraedge::distributed as worker;
