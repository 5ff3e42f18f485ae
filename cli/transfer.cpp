#include "cli/transfer.hpp"

#include <boost/json.hpp>
#include <numeric>
#include <thread>

#include "actors/key_source.hpp"
#include "cli/audited.hpp"
#include "cli/daemon.hpp"
#include "cli/stores.hpp"
#include "crypto/suite.hpp"
#include "server/heartbeat.hpp"
#include "server/store_transfer.hpp"
#include "server/unfinished_import.hpp"

namespace cpns::cli {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

result<config::server_config> load(const transfer_options& o) {
  auto c = config::load_server(o.config);
  if (!c) return fail(c.error().as_error());
  if (c->store.kind == config::store_kind::memory)
    return fail(errc::config_usage,
                "this server keeps its store in memory, which no command can read or write");
  return std::move(*c);
}

result<std::unique_ptr<storage::key_protector>> protector_of_file(const transfer_options& o,
                                                                  const config::server_config& c) {
  if (o.passphrase_file.empty()) return open_protector(c.protector);
  return storage::open_protector({storage::protector_kind::passphrase, o.passphrase_file});
}

json::object file_state(const byte_array<16>& file_id) { return {{"file_id", to_hex(file_id)}}; }

/// The command and the next start may run in different folders.
json::object export_state(const transfer_options& o, const storage::export_header& h) {
  std::error_code ec;
  const auto file = fs::absolute(o.file, ec);
  return {{"file_id", to_hex(h.id)}, {"file", (ec ? o.file : file).string()}};
}

std::string text_in(const json::value& in, const char* name) {
  const auto* o = in.if_object();
  const auto* v = o == nullptr ? nullptr : o->if_contains(name);
  return v != nullptr && v->is_string() ? std::string(v->get_string()) : std::string{};
}

std::uint64_t sum(const storage::row_counts& counts) {
  return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0},
                         [](std::uint64_t n, const auto& t) { return n + t.second; });
}

audit::outcome done_with(const result<transferred>& done) {
  json::object after{{"file_id", done->file_id}, {"rows", done->rows()}};
  if (done->incarnation != 0) after["incarnation"] = done->incarnation;
  return {audit::verdict::done, {}, std::move(after)};
}

server::transfer_progress shown(const transfer_options& o, std::string what, std::uint64_t all) {
  return [&o, what = std::move(what), all](std::uint64_t done) {
    if (o.progress) o.progress(what, done, all);
    return !cancelled();
  };
}

/// Servers on a database are seen by their heartbeats alone: waits until each would have written one.
result<server::seen_rows> wait_for_silence(const storage::sealed_store& store) {
  CPNS_TRY(auto before, server::rows_of_servers(store));
  if (before.empty()) return before;
  const auto until = std::chrono::steady_clock::now() + server::heartbeat_times{}.silent;
  while (std::chrono::steady_clock::now() < until) {
    if (cancelled()) return fail(errc::state_stopping);
    std::this_thread::sleep_for(milliseconds{100});
  }
  CPNS_CHECK(server::check_silent(store, before));
  return before;
}

result<transferred> write_file(const transfer_options& o, const storage::sealed_store& store,
                               storage::export_writer& to) {
  CPNS_TRY(const auto servers, wait_for_silence(store));
  CPNS_CHECK(server::export_rows(store, to, shown(o, "rows written", 0)));
  CPNS_CHECK(server::check_silent(store, servers));
  CPNS_CHECK(to.finish());
  return transferred{to_hex(to.header().id), to.counts()};
}

/// Opening would create a store.
status check_exists(const config::server_config& c) {
  std::error_code ec;
  if (c.store.kind == config::store_kind::rocksdb && !fs::exists(c.store.path, ec))
    return fail(errc::state_unknown, "a store of this server: there is nothing at " + c.store.path.string());
  return {};
}

/// The store of the target, which may have a part of the file already.
result<opened_store> open_target(const config::server_config& c) {
  auto store = opened_store::open(c.store, c.protector);
  if (!store && store.error() == errc::store_locked)
    return fail(errc::store_locked, store.error().detail + "; the store of an import must not be in use");
  return store;
}

}  // namespace

std::uint64_t transferred::rows() const { return sum(counts); }

result<transferred> export_store(const transfer_options& o) {
  CPNS_TRY(const auto c, load(o));
  CPNS_CHECK(check_exists(c));
  CPNS_TRY(const auto protector, protector_of_file(o, c));
  CPNS_TRY(auto store, open_server_store(c));
  CPNS_TRY(const auto trail, open_trail(c, store.sealed()));
  CPNS_TRY(const auto to, storage::export_writer::begin(
                              o.file, o.force ? storage::if_exists::replace : storage::if_exists::refuse,
                              *protector, now_wall(), crypto::system_entropy()));
  return with_audit(
      *trail, change_by_command(store_export, o.file.string(), {}, export_state(o, to->header())),
      [&] { return write_file(o, store.sealed(), *to); }, done_with);
}

result<transferred> import_store(const transfer_options& o) {
  CPNS_TRY(const auto c, load(o));
  CPNS_TRY(const auto protector, protector_of_file(o, c));
  CPNS_TRY(const auto from, storage::export_reader::open(o.file, *protector));
  CPNS_TRY(const auto content, server::check_export(*from, shown(o, "checked", from->size())));
  CPNS_TRY(auto store, open_target(c));
  CPNS_TRY(const auto target, server::check_target(store.sealed(), from->header()));
  // It also adds the outcome of an import that was killed before it wrote the outcome itself.
  CPNS_TRY(const auto trail, open_trail(c, store.sealed()));
  if (target.finished)
    return transferred{to_hex(from->header().id), content.counts, *target.finished, false, true};
  return with_audit(
      *trail, change_by_command(store_import, o.file.string(), {}, file_state(from->header().id)),
      [&]() -> result<transferred> {
        CPNS_TRY(const auto incarnation,
                 server::import_rows(store.sealed(), *from, content, shown(o, "imported", from->size())));
        return transferred{to_hex(from->header().id), content.counts, incarnation, target.begun};
      },
      done_with);
}

audit::outcome resolve_export(const audit::unfinished& u) {
  const auto file = text_in(u.after, "file"), id = text_in(u.after, "file_id");
  const auto has_id = [&id](const fs::path& name) {
    const auto h = storage::export_reader::header_of(name);
    return h && to_hex(h->id) == id;
  };
  if (has_id(file)) return {};
  const auto part = storage::export_part(file).string();
  if (has_id(part))
    return {audit::verdict::not_done, "the export was interrupted, and " + part + " is a part of it"};
  return {audit::verdict::unknown,
          "the export was interrupted, and " + file + " is not there, cannot be read, or is another file"};
}

audit::outcome resolve_import(const storage::sealed_store& store, const audit::unfinished& u) {
  const auto finished = server::find_finished_import(store);
  if (!finished) return {audit::verdict::unknown, finished.error().message()};
  if (*finished && json::value(file_state((*finished)->file)) == u.after) return {};
  const auto mark = server::find_import_mark(store);
  if (!mark) return {audit::verdict::unknown, mark.error().message()};
  if (mark->now)
    return {audit::verdict::not_done,
            "the import was interrupted; a repetition of the command goes on with it"};
  // An earlier release left no row that names the file.
  if (mark->version > 0)
    return {audit::verdict::unknown, "an import into this store ended, of this file or another one"};
  return {audit::verdict::not_done, "nothing was imported"};
}

}  // namespace cpns::cli
