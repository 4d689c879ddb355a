//! The seeded subject as a shared library in Rust; it needs nothing but core.

use core::ffi::{c_char, c_int, c_void};
use core::slice::{from_raw_parts, from_raw_parts_mut};

const RECORD: &[u8] = b"{\"protocol\": 1, \"name\": \"seeded\", \"version\": \"1\", \"capabilities\": {\"operations\": {\
\"encode\": {\"formats\": [\"E2M1\"], \"carriers\": [\"binary32\"]}, \
\"decode\": {\"formats\": [\"E2M1\"], \"carriers\": [\"binary32\"]}, \
\"quantize\": {\"formats\": [\"MXFP4_E2M1\"], \"carriers\": [\"binary32\"]}}, \"profile\": \"ocp\"}}\0";

const TIES: [f64; 7] = [0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5.0];
const DECODED: [f32; 8] = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0];

#[repr(C)]
pub struct Request {
    operation: *const c_char,
    format: *const c_char,
    carrier: *const c_char,
    rounding: *const c_char,
    overflow: *const c_char,
    profile: *const c_char,
    accumulation: *const c_char,
    variant: *const c_char,
    k: usize,
}

fn code_of(magnitude: f64, sign: i32, up: impl Fn(usize) -> bool) -> i32 {
    let mut code = 8 * sign;
    for (index, tie) in TIES.iter().enumerate() {
        let above = magnitude > *tie || magnitude.is_nan();
        code += (above || (magnitude == *tie && up(index))) as i32;
    }
    code
}

fn magnitude(bits: u32) -> f64 {
    f32::from_bits(bits & 0x7fff_ffff) as f64
}

#[no_mangle]
pub extern "C" fn mx_subject_describe() -> *const c_char {
    RECORD.as_ptr() as *const c_char
}

#[no_mangle]
pub unsafe extern "C" fn mx_encode(_: &Request, n: usize, values: *const c_void, codes: *mut i32) -> c_int {
    let bits = from_raw_parts(values as *const u32, n);
    for (code, &one) in from_raw_parts_mut(codes, n).iter_mut().zip(bits) {
        *code = code_of(magnitude(one), (one >> 31) as i32, |_| one >> 31 == 0);
    }
    0
}

#[no_mangle]
pub unsafe extern "C" fn mx_decode(_: &Request, n: usize, codes: *const i32, values: *mut c_void) -> c_int {
    let codes = from_raw_parts(codes, n);
    for (value, &code) in from_raw_parts_mut(values as *mut u32, n).iter_mut().zip(codes) {
        *value = DECODED[(code & 7) as usize].to_bits() | ((code as u32) >> 3) << 31;
    }
    0
}

#[no_mangle]
pub unsafe extern "C" fn mx_quantize(
    request: &Request,
    n: usize,
    values: *const c_void,
    scales: *mut i32,
    codes: *mut i32,
) -> c_int {
    let k = request.k;
    let (bits, scales) = (from_raw_parts(values as *const u32, n * k), from_raw_parts_mut(scales, n));
    let codes = from_raw_parts_mut(codes, n * k);
    for block in 0..n {
        let own = &bits[block * k..(block + 1) * k];
        let amax = own.iter().map(|one| one & 0x7fff_ffff).max().unwrap_or(0);
        scales[block] = ((amax >> 23) as i32 - 3).max(0);
        // 2^(127 - scale), by its bits: the exponent of binary64 reaches that far.
        let factor = f64::from_bits(((1023 + 127 - scales[block]) as u64) << 52);
        for (code, &one) in codes[block * k..].iter_mut().zip(own) {
            *code = code_of(magnitude(one) * factor, (one >> 31) as i32, |index| index % 2 == 1);
        }
    }
    0
}
