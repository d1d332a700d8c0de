//! Fuzzes the messages of a PostgreSQL server: those that parse read back as written.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use wire::postgres::backend::{
    BackendKeyData, Columns, CommandTag, CopyResponse, FunctionCallResponse, NotificationResponse,
    ParameterStatus, TransactionStatus, data_row, parameter_types, put_backend_key_data,
    put_data_row, put_notification, put_parameter_description, put_parameter_status,
    put_ready_for_query, put_row_description,
};
use wire::postgres::frame::HEADER_LEN;

fuzz_target!(|body: &[u8]| {
    let same = |put: &dyn Fn(&mut BytesMut)| {
        let mut out = BytesMut::new();
        put(&mut out);
        assert_eq!(out[HEADER_LEN..], *body);
    };
    if let Ok(status) = TransactionStatus::parse(body) {
        same(&|out| put_ready_for_query(out, status));
    }
    if let Ok(status) = ParameterStatus::parse(body) {
        same(&|out| put_parameter_status(out, status.name, status.value));
    }
    if let Ok(data) = BackendKeyData::parse(body) {
        same(&|out| put_backend_key_data(out, data.process, data.key));
    }
    if let Ok(notification) = NotificationResponse::parse(body) {
        same(&|out| put_notification(out, &notification));
    }
    if let Ok(columns) = Columns::parse(body) {
        same(&|out| put_row_description(out, &columns.collect::<Vec<_>>()));
    }
    if let Ok(values) = data_row(body) {
        same(&|out| put_data_row(out, &values.collect::<Vec<_>>()));
    }
    if let Ok(types) = parameter_types(body) {
        same(&|out| put_parameter_description(out, &types.collect::<Vec<_>>()));
    }
    if let Ok(response) = FunctionCallResponse::parse(body) {
        same(&|out| response.put(out));
    }
    if let Ok(tag) = CommandTag::parse(body) {
        assert!(body.starts_with(tag.command));
    }
    if let Ok(copy) = CopyResponse::parse(body) {
        assert_eq!(copy.columns.len(), copy.columns.count());
    }
});
