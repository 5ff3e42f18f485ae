#include "cli/restored.hpp"

#include <boost/json.hpp>

#include "cli/audited.hpp"
#include "server/server_meta.hpp"

namespace cpns::cli {
namespace {

boost::json::value incarnation_state(std::uint64_t incarnation) {
  return boost::json::object{{"incarnation", incarnation}};
}

result<server::server_meta> meta_in(const storage::sealed_store& store) {
  CPNS_TRY(auto meta, server::find_meta(store));
  if (!meta) return fail(errc::state_unknown, "this store is new: no server has started with it");
  return std::move(*meta);
}

}  // namespace

result<restored_incarnation> raise_incarnation(const std::filesystem::path& config_file,
                                               std::optional<std::uint64_t> wanted) {
  CPNS_TRY(auto server, open_audited_server(config_file));
  auto& store = server.store.sealed();
  CPNS_TRY(auto meta, meta_in(store));
  const restored_incarnation out{meta.incarnation, wanted.value_or(meta.incarnation + 1)};
  if (out.now <= out.before)
    return fail(errc::config_range, "the incarnation is " + std::to_string(out.before) +
                                        " already, and only a higher one can follow");
  meta.incarnation = out.now;
  const auto change =
      change_by_command(store_restored, {}, incarnation_state(out.before), incarnation_state(out.now));
  CPNS_CHECK(with_audit(*server.trail, change, [&] { return server::save_meta(store, meta); }));
  return out;
}

audit::outcome resolve_restored(const storage::sealed_store& store, const audit::unfinished& u) {
  const auto meta = meta_in(store);
  if (!meta) return {audit::verdict::unknown, meta.error().message()};
  if (incarnation_state(meta->incarnation) == u.after) return {};
  return {audit::verdict::not_done, "the store has the incarnation " + std::to_string(meta->incarnation)};
}

}  // namespace cpns::cli
