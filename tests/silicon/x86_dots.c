/* Dots of bfloat16 by an x86 core: VDPBF16PS (two products) or TDPBF16PS (AMX, 2 * pairs products).
 *
 *   x86_dots vdp        < records > words      record: a[2], b[2] uint16, c uint32
 *   x86_dots amx PAIRS  < records > words      record: a[2 * PAIRS], b[2 * PAIRS] uint16, c uint32
 *
 * One word of binary32 comes out for each record. In AMX sixteen dots lie on the diagonal of a tile.
 */
#include <immintrin.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { LANES = 16, REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };

struct record { uint32_t a, b, c; };

static int vdp(void) {
  struct record records[LANES];
  size_t count;
  while ((count = fread(records, sizeof records[0], LANES, stdin)) > 0) {
    uint32_t a[LANES] = {0}, b[LANES] = {0}, c[LANES] = {0}, d[LANES];
    for (size_t i = 0; i < count; i++) {
      a[i] = records[i].a;
      b[i] = records[i].b;
      c[i] = records[i].c;
    }
    __m512 sum = _mm512_dpbf16_ps(_mm512_loadu_ps(c), (__m512bh)_mm512_loadu_si512(a),
                                  (__m512bh)_mm512_loadu_si512(b));
    _mm512_storeu_ps(d, sum);
    fwrite(d, sizeof d[0], count, stdout);
  }
  return 0;
}

struct config {
  uint8_t palette, start_row, reserved[14];
  uint16_t bytes[16];
  uint8_t rows[16];
};

static void configure(int pairs) {
  struct config config;
  memset(&config, 0, sizeof config);
  config.palette = 1;
  for (int tile = 0; tile < 3; tile++) {
    config.rows[tile] = tile == 2 ? (uint8_t)pairs : LANES;
    config.bytes[tile] = (uint16_t)(tile == 1 ? 4 * pairs : 4 * LANES);
  }
  _tile_loadconfig(&config);
}

static int amx(int pairs) {
  static uint32_t a[LANES][LANES], b[LANES][LANES], c[LANES][LANES];
  uint32_t record[2 * LANES + 1];
  size_t size = sizeof(uint32_t) * (2 * (size_t)pairs + 1), count = LANES;
  if (syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA)) return 3;
  configure(pairs);
  while (count == LANES) {
    memset(a, 0, sizeof a);
    memset(b, 0, sizeof b);
    memset(c, 0, sizeof c);
    for (count = 0; count < LANES && fread(record, size, 1, stdin) == 1; count++) {
      for (int pair = 0; pair < pairs; pair++) {
        a[count][pair] = record[pair];
        b[pair][count] = record[pairs + pair];
      }
      c[count][count] = record[2 * pairs];
    }
    _tile_loadd(0, c, sizeof c[0]);
    _tile_loadd(1, a, sizeof a[0]);
    _tile_loadd(2, b, sizeof b[0]);
    _tile_dpbf16ps(0, 1, 2);
    _tile_stored(0, c, sizeof c[0]);
    for (size_t i = 0; i < count; i++) fwrite(&c[i][i], sizeof c[i][i], 1, stdout);
  }
  _tile_release();
  return 0;
}

int main(int count, char **words) {
  if (count == 2 && !strcmp(words[1], "vdp")) return vdp();
  int pairs = count == 3 && !strcmp(words[1], "amx") ? atoi(words[2]) : 0;
  if (pairs < 1 || pairs > LANES) {
    fprintf(stderr, "usage: x86_dots vdp | x86_dots amx PAIRS (1 to 16)\n");
    return 2;
  }
  return amx(pairs);
}
