// The answer of a key socket, as libcpns-keys reads it: HTTP, then lines of JSON, then the table of keys. Any bytes are
// read or refused, and the table holds what the last line of a device said.
//
// The input is the answer. Its first byte says in pieces of which size it arrives.

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>

extern "C" {
#include "consumers/libcpns-keys/http.h"
#include "consumers/libcpns-keys/line.h"
#include "consumers/libcpns-keys/table.h"
}

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

void put_and_look(table& t, const line& l) {
  if (table_put(&t, &l) != 0) return;
  bool use = false;
  for (std::size_t i = 0; i < l.count; ++i) {
    use = use || l.keys[i].use;
    const auto* found = table_by_identity(&t, l.keys[i].identity);
    require(found != nullptr && std::strcmp(found->identity, l.keys[i].identity) == 0);
    require(found->length >= 16 && found->length <= 64);
  }
  require((table_current(&t, l.entity) != nullptr) == use);
}

/// false: the line is refused, which ends a connection.
bool take(table& t, line& l, std::string text) {
  if (text.empty()) return true;
  if (line_read(&l, text.data(), text.size()) != nullptr) return false;
  switch (l.event) {
  case LINE_PUT: put_and_look(t, l); break;
  case LINE_GONE:
    table_gone(&t, l.entity, l.why);
    require(table_current(&t, l.entity) == nullptr);
    break;
  case LINE_RESYNC: table_begin_round(&t); break;
  case LINE_SYNCED: table_sweep(&t); break;
  default: break;
  }
  return true;
}

void read_answer(table& t, line& l, const char* at, std::size_t left, std::size_t piece) {
  http h{};
  http_begin(&h);
  std::string rest;
  while (left > 0 && h.part != HTTP_DONE) {
    std::size_t used = 0;
    std::size_t length = 0;
    const char* body = nullptr;
    const auto size = std::min(left, piece);
    if (!http_feed(&h, at, size, &used, &body, &length)) return;
    require(used > 0 && used <= size && length <= used && h.line_length <= http_line_max);
    rest.append(body, length);
    at += used;
    left -= used;
    for (auto end = rest.find('\n'); end != std::string::npos; end = rest.find('\n')) {
      if (!take(t, l, rest.substr(0, end))) return;
      rest.erase(0, end + 1);
    }
  }
  const char* code = nullptr;
  (void)problem_read(rest.data(), rest.size(), &code);
  require(code != nullptr);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  table t{};
  line l{};
  const cpns_keys_events none{};
  if (!table_begin(&t, &none, nullptr)) return 0;
  read_answer(t, l, reinterpret_cast<const char*>(data) + 1, size - 1, std::size_t{1} + data[0]);
  line_free(&l);
  table_free(&t);
  return 0;
}
