//! What holds of every operation, written into the document once: the header by which an answer is
//! found again, and that what needs no token needs none.

use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::Type;
use utoipa::openapi::{Object, OpenApi, RefOr};

/// Writes it.
pub(crate) fn write(document: &mut OpenApi) {
    for item in document.paths.paths.values_mut() {
        let operations = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch];
        for operation in operations.into_iter().flatten() {
            operation.security.get_or_insert_default();
            with_request_id(operation);
        }
    }
}

fn with_request_id(operation: &mut Operation) {
    for response in operation.responses.responses.values_mut() {
        if let RefOr::T(response) = response {
            let header = HeaderBuilder::new()
                .schema(Some(Object::with_type(Type::String)))
                .description(Some("Names this answer; tell it whom you ask about it"))
                .build();
            response.headers.insert("X-Request-ID".to_owned(), RefOr::T(header));
        }
    }
}
