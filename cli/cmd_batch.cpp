#include <boost/json.hpp>
#include <filesystem>
#include <iostream>

#include "api/routes.hpp"
#include "audit/server_states.hpp"
#include "base/text.hpp"
#include "cli/commands.hpp"
#include "cli/secret_json.hpp"
#include "cli/server_access.hpp"
#include "crypto/suite.hpp"
#include "server/batch_book.hpp"
#include "storage/file.hpp"

namespace cpns::cli {
namespace {

constexpr std::uint64_t exported_max = 1'000'000;  ///< devices in one file

struct batch_options {
  role_options role{.config = server_file};
  std::string batch, prefix, from, to, out;
  std::vector<std::string> ranges;
  bool yes = false;
  bool json = false;
};

std::string target_of(const batch_options& o) { return "/v1/batches/" + api::encode_percent(o.batch); }

/// The batches in the store of a stopped server.
result<std::unique_ptr<server::batch_book>> stored_batches(server_access& server) {
  auto book = std::make_unique<server::batch_book>(server.store());
  CPNS_CHECK(book->load());
  return book;
}

status add_batch_to_store(server_access& server, const protocol::batch_record& batch) {
  CPNS_TRY(const auto book, stored_batches(server));
  CPNS_TRY(auto before, audit::batch_state(server.store(), batch.batch));
  const auto change =
      change_by_command(audit::batch_add, batch.batch, std::move(before), audit::state_of(batch));
  return with_audit(server.trail(), change, [&] {
    return server::add_batch(server.store(), *book, server::write_to(server.store()), batch);
  });
}

done_or<int> run_add_batch(batch_options& o) {
  // The same checks as in the role, before it is asked.
  auto made = server::make_batch(crypto::system_entropy(), o.batch, o.ranges, now_wall());
  if (!made) return fail(errc::config_usage, made.error().detail);
  CPNS_TRY(auto server, server_access::open(o.role, true));
  if (server.running()) {
    boost::json::object body{{"batch", o.batch}, {"entities", boost::json::array{}}};
    for (const auto& r : made->ids) body["entities"].as_array().emplace_back(r.text());
    CPNS_CHECK(
        server.ask(api::verb::post, "/v1/batches", secret_bytes::from_text(boost::json::serialize(body))));
  } else {
    CPNS_CHECK(add_batch_to_store(server, *made));
  }
  print_done(o.json, "Added the batch " + o.batch + ". Its master key is in the store; save a backup.");
  return exit_done;
}

std::string ranges_of(const boost::json::object& b) {
  std::string out;
  for (const auto& r : b.at("entities").as_array())
    out += (out.empty() ? "" : " ") + without_controls({r.as_string().data(), r.as_string().size()});
  return out;
}

done_or<int> run_list_batches(batch_options& o) {
  CPNS_TRY(auto server, server_access::open(o.role, false));
  std::unique_ptr<server::batch_book> book;
  if (!server.running()) {
    CPNS_TRY(book, stored_batches(server));
  }
  CPNS_TRY(auto batches,
           server.list("/v1/batches", "&prefix=" + api::encode_percent(o.prefix), "batches", "batch",
                       [&](const auto&, const auto& asked) -> result<boost::json::object> {
                         return server::batches_page(*book, asked, o.prefix);
                       }));
  if (o.json) {
    print_answer(boost::json::object{{"batches", std::move(batches)}});
    return exit_done;
  }
  table out{{"BATCH", "CREATED", "ENTITIES"}};
  for (const auto& one : batches) {
    const auto& b = one.as_object();
    out.add({member_text(b, "batch"), member_time(b, "created", "-"), ranges_of(b)});
  }
  out.print();
  return exit_done;
}

done_or<boost::json::object> one_batch(server_access& server, const batch_options& o) {
  if (server.running()) {
    CPNS_TRY(auto answer, server.ask(api::verb::get, target_of(o)));
    return std::move(answer.as_object());
  }
  CPNS_TRY(const auto book, stored_batches(server));
  const auto found = book->named(o.batch);
  if (!found) return server::unknown_batch(o.batch);
  return server::view_of(*found);
}

done_or<int> run_show_batch(batch_options& o) {
  CPNS_TRY(auto server, server_access::open(o.role, false));
  CPNS_TRY(const auto b, one_batch(server, o));
  if (o.json) {
    print_answer(b);
    return exit_done;
  }
  std::cout << "batch             " << member_text(b, "batch") << "\ncreated           "
            << member_time(b, "created", "-") << "\n";
  for (const auto& r : b.at("entities").as_array())
    std::cout << "entities          " << without_controls({r.as_string().data(), r.as_string().size()})
              << "\n";
  return exit_done;
}

status remove_batch_from_store(server_access& server, const std::string& batch) {
  CPNS_TRY(const auto book, stored_batches(server));
  CPNS_TRY(auto before, audit::batch_state(server.store(), batch));
  const auto change = change_by_command(audit::batch_remove, batch, std::move(before), nullptr);
  return with_audit(server.trail(), change, [&] {
    return server::remove_batch(server.store(), *book, server::write_to(server.store()), batch);
  });
}

done_or<int> run_remove_batch(batch_options& o) {
  if (!o.yes)
    return fail(
        errc::config_usage,
        "the master key of the batch would be lost, and no gateway would get keys for its devices any more, "
        "except for those that are imported; --yes removes it");
  CPNS_TRY(auto server, server_access::open(o.role, true));
  if (server.running()) {
    CPNS_CHECK(server.ask(api::verb::del, target_of(o)));
  } else {
    CPNS_CHECK(remove_batch_from_store(server, o.batch));
  }
  print_done(o.json, "Removed the batch " + o.batch + ". Its devices keep the keys that they have.");
  return exit_done;
}

/// The lines of at most server::batch_export_max devices.
using read_part = std::function<done_or<secret_bytes>(const std::string& from, const std::string& to)>;

read_part part_of_role(server_access& server, const batch_options& o) {
  return [&server, &o](const std::string& from, const std::string& to) -> done_or<secret_bytes> {
    secret_json body;
    body.add("from", from).add("to", to);
    CPNS_TRY(const auto list, server.ask_secret(api::verb::post, target_of(o) + "/export", body.take()));
    if (!as_text(list.expose()).starts_with(server::batch_list_head))
      return fail(errc::internal, "the answer of the role is not a list of devices");
    return secret_bytes{list.expose().subspan(server::batch_list_head.size())};
  };
}

read_part part_of_store(server_access& server, const server::shared_batch& batch) {
  return [&server, batch](const std::string& from, const std::string& to) -> done_or<secret_bytes> {
    const auto change = change_by_command(audit::batch_export, batch->batch, nullptr,
                                          boost::json::object{{"from", from}, {"to", to}});
    CPNS_TRY(auto list, with_audit(server.trail(), change, [&]() -> result<secret_bytes> {
               CPNS_TRY(auto devices, server::devices_between(*batch, from, to, server::batch_export_max));
               return server::batch_list(crypto::openssl_suite(), *batch, std::move(devices));
             }));
    return list;
  };
}

done_or<secret_bytes> read_parts(protocol::entity_series devices, const read_part& read) {
  constexpr std::size_t line_max = entity_id::max_size + 48;
  bytes all;
  all.reserve(server::batch_list_head.size() + devices.size() * line_max);
  all.insert(all.end(), server::batch_list_head.begin(), server::batch_list_head.end());
  secret_bytes out;
  for (bool more = true; more;) {
    const auto from = devices.current().text();
    auto to = from;
    for (std::uint64_t n = 1; (more = devices.advance()) && n < server::batch_export_max; ++n)
      to = devices.current().text();
    const auto part = read(from, to);
    if (!part) {
      wipe(all);
      return fail(part.error());
    }
    all.insert(all.end(), part->expose().begin(), part->expose().end());
  }
  return secret_bytes{std::move(all)};
}

done_or<int> run_export_batch(batch_options& o) {
  std::error_code ec;
  if (std::filesystem::exists(std::filesystem::symlink_status(o.out, ec)))
    return fail(errc::state_exists, o.out + "; choose another name");
  const auto from = entity_id::parse(o.from), to = entity_id::parse(o.to);
  for (const auto* end : {&from, &to})
    if (!*end) return fail(errc::config_usage, end->error().detail);
  auto devices = protocol::entity_series::between(*from, *to, exported_max);
  if (!devices) return fail(errc::config_usage, devices.error().detail);
  const auto count = devices->size();
  CPNS_TRY(auto server, server_access::open(o.role, true));
  read_part read = part_of_role(server, o);
  if (!server.running()) {
    CPNS_TRY(const auto book, stored_batches(server));
    const auto batch = book->named(o.batch);
    if (!batch) return server::unknown_batch(o.batch);
    read = part_of_store(server, batch);
  }
  CPNS_TRY(const auto list, read_parts(std::move(*devices), read));
  CPNS_CHECK(storage::replace_file(o.out, list.expose(), storage::if_exists::refuse));
  if (o.json)
    print_answer(boost::json::object{{"devices", count}, {"file", o.out}});
  else
    std::cout << "Wrote the Temporary Keys of " << plural(count, "device") << " to " << o.out
              << ", mode 0600.\n";
  return exit_done;
}

void add_export_command(CLI::App& batch, const std::shared_ptr<batch_options>& o, int& code) {
  auto* c = server_command(batch, o, code, "export",
                           "Write the Temporary Keys of devices of a batch to a file", run_export_batch);
  c->add_option("BATCH", o->batch, "The name of the batch")->required();
  c->add_option("--from", o->from, "The first Entity ID")->required();
  c->add_option("--to", o->to, "The last Entity ID")->required();
  c->add_option("--out", o->out, "The file to write, which must not exist")->required();
  c->footer(
      R"(The file is a list of devices as `cpns device import` reads it, with mode 0600, for the machine that sets
the keys in the factory. Both Entity IDs are in one range of the batch; at most 1,000,000 devices go into one
file. The audit trail tells who read the keys of which devices, in parts of 10,000.

Examples:
  cpns batch export lot7 --from urn:dev:mac:0024be000000 --to urn:dev:mac:0024be0003e7 --out lot7.csv
)" + url_example(
          "batch export lot7 --from urn:dev:mac:0024be000000 --to urn:dev:mac:0024be0003e7 --out lot7.csv"));
}

}  // namespace

void add_batch(CLI::App& app, int& code) {
  auto* batch = app.add_subcommand(
      "batch", "Manage batches of devices whose Temporary Keys follow from one master key each");
  batch->require_subcommand(1);
  batch->footer(
      R"(A batch names the Entity IDs of its devices by ranges: PREFIX* for all that begin with PREFIX, FROM..TO for
those between two that differ in digits at their end. No two ranges of a server overlap. The server draws the
master key and never shows it. A device that is imported has the key of the import, also if it is in a batch.

Examples:
  cpns batch add lot7 --entities 'urn:dev:mac:0024be*' --config trial/server.yaml
  cpns batch list --config trial/server.yaml)");
  const auto o = std::make_shared<batch_options>();

  auto* add = server_command(*batch, o, code, "add", "Add a batch with a new master key", run_add_batch);
  add->add_option("BATCH", o->batch, "Its name: letters, digits, '.', '_' and '-'")->required();
  add->add_option("--entities", o->ranges, "A range of Entity IDs; repeat the option for up to 16")
      ->required();
  add->footer("Examples:\n  cpns batch add lot7 --entities 'urn:dev:mac:0024be*'\n"
              "  cpns batch add lot8 --entities urn:dev:os:32473-80000..urn:dev:os:32473-89999\n" +
              url_example("batch add lot7 --entities 'urn:dev:mac:0024be*'"));

  auto* list =
      server_command(*batch, o, code, "list", "List the batches with their Entity IDs", run_list_batches);
  list->add_option("--prefix", o->prefix, "Only batches whose names begin with this text");
  list->footer("Examples:\n  cpns batch list --config trial/server.yaml\n" + url_example("batch list"));

  auto* show = server_command(*batch, o, code, "show", "Show one batch, but never its key", run_show_batch);
  show->add_option("BATCH", o->batch, "The name of the batch")->required();
  show->footer("Examples:\n  cpns batch show lot7\n" + url_example("batch show lot7"));

  add_export_command(*batch, o, code);

  auto* remove = server_command(*batch, o, code, "remove", "Remove a batch and its master key for ever",
                                run_remove_batch);
  remove->add_option("BATCH", o->batch, "The name of the batch")->required();
  remove->add_flag("--yes", o->yes, "Really remove it");
  remove->footer(
      "To key its devices later, export their Temporary Keys first, and import them.\n\nExamples:\n"
      "  cpns batch remove lot7 --yes\n" +
      url_example("batch remove lot7 --yes"));
}

}  // namespace cpns::cli
