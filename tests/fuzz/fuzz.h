/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The fuzz targets. libFuzzer drives each through fuzz-main.c, and test-fuzz.cc drives all of them with the corpora and with
 * mutations that are the same every time, so that a build without libFuzzer tests them too.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* NULL if all is as it should be, else what is wrong with what was made of the input (newly allocated). */
typedef char *FuzzTarget(const uint8_t *data, size_t size);

FuzzTarget fuzz_json, fuzz_jsonrpc, fuzz_duplex, fuzz_manifest, fuzz_launch, fuzz_dialect_state, fuzz_state;
