//! What an answer of the API server means for the engine.

use quorate_engine::seam::{Fault, FaultClass};
use quorate_engine::time::Span;

/// The class of an error of the API. `mutates`: whether somebody has to look what became of the
/// request when there was no answer.
pub(crate) fn fault(error: &kube::Error, mutates: bool) -> Fault {
    let kube::Error::Api(status) = error else {
        return transport(error, mutates);
    };
    let class = match (status.code, status.reason.as_str()) {
        (401 | 403, _) => FaultClass::Auth,
        (404, _) => FaultClass::NotFound,
        (409, "AlreadyExists") => FaultClass::Exists,
        (409, _) => FaultClass::Busy,
        (400 | 405 | 406 | 413 | 415 | 422, _) => FaultClass::Invalid,
        (_, _) => FaultClass::Retryable,
    };
    let details = status.details.as_ref();
    let wait_s = details.map_or(0, |details| details.retry_after_seconds);
    Fault {
        class,
        detail: format!("the API server says {}: {}", status.code, status.message),
        after: (wait_s > 0).then(|| Span::from_secs(u64::from(wait_s))),
    }
}

/// There was no answer that could be read.
fn transport(error: &kube::Error, mutates: bool) -> Fault {
    let mut why: &dyn std::error::Error = error;
    let mut refused = false;
    while let Some(source) = why.source() {
        why = source;
        let io = why.downcast_ref::<std::io::Error>();
        refused |= io.is_some_and(|io| {
            let kind = io.kind();
            kind == std::io::ErrorKind::ConnectionRefused || kind == std::io::ErrorKind::NotFound
        });
    }
    let class = if mutates && !refused {
        FaultClass::Unknown
    } else {
        FaultClass::Retryable
    };
    Fault::new(class, format!("the API server does not answer: {why}"))
}
