// One key assignment through the server in this process, steps 4 to 8: as pure computation, and through the
// actors with a durable store. Sockets and TLS are not part of it.

#include <benchmark/benchmark.h>

#include <condition_variable>
#include <mutex>

#include "actors/system.hpp"
#include "base/log.hpp"
#include "bench/assignment_harness.hpp"
#include "server/dispatcher.hpp"
#include "server/session.hpp"
#include "storage/memory_store.hpp"
#include "storage/rocksdb_store.hpp"
#include "storage/store_metrics.hpp"

namespace {

using namespace cpns;
using bench::assignment_harness;
using bench::suite;

/// Applies the outputs of a machine as a role would, with a sealed store in memory. Returns the frame of the answer.
secret_bytes serve(assignment_harness& p, storage::sealed_store& store, protocol::assignment_machine& machine,
                   byte_view frame, const protocol::device_secret_record& device) {
  auto request = protocol::decode_link_request(frame).value();
  machine.handle_request(
      p.now, testing_people::received({p.gw, p.exporter}, request.id,
                                      std::get<protocol::key_assignment_request>(std::move(request.body))));
  secret_bytes answer;
  while (auto out = machine.poll_output()) {
    if (std::get_if<protocol::assignment_fetch_user>(&*out) != nullptr)
      machine.handle_user(p.now, p.alice.record);
    else if (std::get_if<protocol::assignment_fetch_device>(&*out) != nullptr)
      machine.handle_device(p.now, std::optional{device});
    else if (auto* row = std::get_if<protocol::assignment_persist>(&*out))
      (void)store.write(
          {assignment_harness::row(storage::table::entities, device.entity.text(), encode(*row->record))});
    else if (auto* a = std::get_if<protocol::assignment_answer>(&*out))
      if (auto* keys = std::get_if<protocol::assigned_keys>(&a->body))
        answer = encode(protocol::link_answer{a->id, 1, {}, std::move(*keys)});
  }
  return answer;
}

/// Decoding, proof, presence, a set of keys (the argument is their number), the sealed row, the encoded answer: on one core,
/// without a disk.
void assignment_computed(benchmark::State& state) {
  assignment_harness p;
  p.settings.set_size = static_cast<std::uint32_t>(state.range(0));
  storage::memory_store memory;
  const auto store = p.seal(memory);
  auto device = assignment_harness::device(1);
  const auto frame = p.first_contact(device);
  const auto imported = device.imported();
  for (auto _ : state) {
    protocol::entity_record fresh;
    fresh.entity = device.entity;
    protocol::assignment_machine machine{p.settings, std::move(fresh), suite(), p.random};
    if (serve(p, *store, machine, frame, imported).empty()) return state.SkipWithError("refused");
  }
}

/// Receives the answers. [thread-safe]
class inbox final : public server::link_port {
 public:
  void send(secret_bytes answer) override {
    const std::lock_guard lock{guard_};
    answers_.push_back(std::move(answer));
    if (answers_.size() == wanted_) wake_.notify_one();
  }
  void notify(bytes) override {}
  void needs_no_answer() override {}
  void close(std::string) override {}
  std::vector<secret_bytes> wait_for(std::size_t count) {
    std::unique_lock lock{guard_};
    wanted_ = count;
    wake_.wait(lock, [&] { return answers_.size() >= count; });
    return std::exchange(answers_, {});
  }

 private:
  std::mutex guard_;
  std::condition_variable wake_;
  std::vector<secret_bytes> answers_;
  std::size_t wanted_ = 0;
};

bool all_granted(const std::vector<secret_bytes>& answers) {
  for (const auto& a : answers) {
    const auto read = protocol::decode_link_answer(a.expose());
    if (!read || !std::holds_alternative<protocol::assigned_keys>(read->body)) return false;
  }
  return true;
}

/// The server's actors, connected as in the role, with RocksDB on the disk of TMPDIR and the log in a file.
struct actor_harness : assignment_harness {
  const test::temporary_folder folder;
  std::unique_ptr<storage::store> rocks = storage::open_rocksdb_store(folder / "store").value();
  std::unique_ptr<storage::sealed_store> store = seal(*rocks);
  server::user_directory users{*store, suite(), secret32{}, 100};
  server::temporary_key_table devices;
  actors::actor_runtime runtime;
  metrics::registry registry;
  storage::group_committer committer;
  storage::group_reader reader{*store};
  std::shared_ptr<server::role_context> role;
  std::shared_ptr<inbox> answers = std::make_shared<inbox>();
  server::session_actor session;

  /// `counted`: with the metrics of a role; without, its handles count nothing.
  explicit actor_harness(bool counted)
      : committer(*store, {}, counted ? storage::make_commit_metrics(registry) : storage::commit_metrics{}) {
    log::settings logs;
    logs.form = log::format::json;
    logs.file = folder / "log";
    (void)log::configure(logs);
    (void)store->write({user_row()});
    auto s = std::make_shared<server::actor_settings>();
    s->assignment = settings;
    role = std::make_shared<server::role_context>(
        *store,
        [this](storage::sealed_batch b, storage::commit_done done) {
          committer.submit(std::move(b), std::move(done));
        },
        [this](std::vector<storage::row_name> names, storage::read_done done) {
          reader.submit(std::move(names), std::move(done));
        },
        users, devices, suite(), random, [this] { return now; }, std::move(s));
    if (counted) role->counted = server::server_metrics{registry};
    role->replace_dispatcher(runtime.system().spawn(server::dispatcher, role.get()));
    session = runtime.system().spawn(server::session, role,
                                     server::peer_info{gw, "urn:cpns:gw:phone", "bench", exporter}, answers);
  }
  ~actor_harness() {
    caf::anon_send_exit(session, caf::exit_reason::user_shutdown);
    caf::anon_send_exit(role->dispatcher(), caf::exit_reason::user_shutdown);
    runtime.system().await_all_actors_done();
    session = nullptr;
    role->replace_dispatcher({});
    (void)log::configure({});
  }
  actor_harness(const actor_harness&) = delete;
  actor_harness& operator=(const actor_harness&) = delete;
};

/// The argument is the number of concurrent first assignments; measured until the last answer. CPU time of all
/// threads.
void assign_through_actors(benchmark::State& state, bool counted) {
  actor_harness p{counted};
  const auto at_once = static_cast<std::size_t>(state.range(0));
  std::uint64_t number = 0;
  for (auto _ : state) {
    state.PauseTiming();
    storage::sealed_batch manufactured;
    std::vector<bytes> frames;
    for (std::size_t i = 0; i < at_once; ++i) {
      auto h = assignment_harness::device(++number);
      manufactured.push_back(assignment_harness::row(h));
      frames.push_back(p.first_contact(h));
    }
    if (const auto wrote = p.store->write(manufactured); !wrote)
      return state.SkipWithError(wrote.error().message().c_str());
    const auto batch = std::make_shared<const std::vector<bytes>>(std::move(frames));
    state.ResumeTiming();
    caf::anon_send(p.session, server::frames_came{batch});
    const auto answers = p.answers->wait_for(at_once);
    state.PauseTiming();
    if (!all_granted(answers)) return state.SkipWithError("refused");
    state.ResumeTiming();
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}

void assignment_through_actors(benchmark::State& state) { assign_through_actors(state, true); }
/// For the price of the metrics: compare it with assignment_through_actors of the same run.
void assignment_without_metrics(benchmark::State& state) { assign_through_actors(state, false); }

/// All that is counted and measured for one assignment, and nothing else.
void assignment_metrics(benchmark::State& state) {
  metrics::registry registry;
  const server::server_metrics m{registry};
  const auto commits = storage::make_commit_metrics(registry);
  for (auto _ : state) {
    const auto began = server::steady::now();
    for (const auto* step : {&m.checked, &m.queued, &m.stored, &m.whole, &commits.time})
      step->observe(server::steady::now() - began);
    commits.rows.observe(1);
    m.assigned(protocol::link_status::ok);
    m.entities.set(1);
  }
}

BENCHMARK(assignment_computed)->Arg(16)->Arg(32);
BENCHMARK(assignment_metrics);
BENCHMARK(assignment_through_actors)->Arg(1)->Arg(16)->Arg(128)->MeasureProcessCPUTime()->UseRealTime();
BENCHMARK(assignment_without_metrics)->Arg(1)->Arg(16)->Arg(128)->MeasureProcessCPUTime()->UseRealTime();

}  // namespace
