#pragma once
// How the workers of the server's actor system share its jobs.

#include <algorithm>
#include <caf/policy/unprofiled.hpp>
#include <caf/resumable.hpp>
#include <caf/scheduler/abstract_coordinator.hpp>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <utility>
#include <vector>

namespace cpns::server {

/// CAF's work sharing wakes a worker for each job, with the lock of the queue held: the jobs of one write are sixty, and a
/// worker that wakes waits for the lock. Here a worker that sleeps is woken by one call if no other one is awake, or if more than
/// one job waits: a worker that is awake looks for the next job after each of its own, so none is left. A single job may
/// therefore wait for the turn of one actor, which never blocks (server/actors.hpp). Each worker sleeps at a condition variable
/// of its own: a signal to one that several threads wait at can be lost (glibc bug 25847). Idle workers cost nothing, as in work
/// sharing. For caf::scheduler::coordinator. [thread-safe]
class batch_sharing : public caf::policy::unprofiled {
 public:
  struct worker_data {
    explicit worker_data(caf::scheduler::abstract_coordinator* /*of*/) {}
    /// CAF copies one that nobody uses into each worker.
    worker_data(const worker_data& /*unused*/) {}
    worker_data& operator=(const worker_data&) = delete;
    ~worker_data() = default;
    std::condition_variable cv;
    bool woken = false;
  };
  struct coordinator_data {
    explicit coordinator_data(caf::scheduler::abstract_coordinator* /*of*/) {}
    std::mutex lock;
    std::deque<caf::resumable*> queue;
    std::vector<worker_data*> asleep;
    std::size_t ended = 0;  ///< workers
    bool waking = false;    ///< a worker was woken, and does not run yet
  };

  template <class Coordinator>
  void central_enqueue(Coordinator* to, caf::resumable* job) {
    auto& all = d(to);
    worker_data* wakes = nullptr;
    {
      const std::lock_guard lock(all.lock);
      all.queue.push_back(job);
      wakes = one_to_wake(all, to->num_workers());
    }
    if (wakes != nullptr) wakes->cv.notify_one();
  }
  template <class Worker>
  void external_enqueue(Worker* to, caf::resumable* job) {
    central_enqueue(to->parent(), job);
  }
  template <class Worker>
  void internal_enqueue(Worker* by, caf::resumable* job) {
    central_enqueue(by->parent(), job);
  }
  template <class Worker>
  void resume_job_later(Worker* by, caf::resumable* job) {
    central_enqueue(by->parent(), job);
  }

  template <class Worker>
  caf::resumable* dequeue(Worker* by) {
    auto& all = d(by->parent());
    auto& own = d(by);
    std::unique_lock lock(all.lock);
    while (all.queue.empty()) {
      own.woken = false;
      all.asleep.push_back(&own);
      own.cv.wait(lock, [&own] { return own.woken; });
      all.waking = false;
    }
    auto* const job = all.queue.front();
    all.queue.pop_front();
    auto* const wakes = one_to_wake(all, by->parent()->num_workers());
    lock.unlock();
    if (wakes != nullptr) wakes->cv.notify_one();
    return job;
  }

  /// A worker ends.
  template <class Worker>
  void before_shutdown(Worker* of) {
    auto& all = d(of->parent());
    worker_data* wakes = nullptr;
    {
      const std::lock_guard lock(all.lock);
      ++all.ended;
      wakes = one_to_wake(all, of->parent()->num_workers());
    }
    if (wakes != nullptr) wakes->cv.notify_one();
  }
  template <class Worker, class F>
  void foreach_resumable(Worker* /*of*/, F /*f*/) {}
  /// At the end: `f` for each job that is left. It may leave more of them.
  template <class Coordinator, class F>
  void foreach_central_resumable(Coordinator* of, F f) {
    auto& all = d(of);
    for (std::unique_lock lock(all.lock); !all.queue.empty(); lock.lock()) {
      const auto left = std::exchange(all.queue, {});
      lock.unlock();
      std::for_each(left.begin(), left.end(), f);
    }
  }

 private:
  /// Call with the lock held, and notify the result afterwards; null: none has to wake.
  static worker_data* one_to_wake(coordinator_data& all, std::size_t workers) {
    if (all.queue.empty() || all.asleep.empty() || all.waking) return nullptr;
    const bool some_awake = all.asleep.size() + all.ended < workers;
    if (some_awake && all.queue.size() < 2) return nullptr;
    auto* const one = all.asleep.back();
    all.asleep.pop_back();
    one->woken = all.waking = true;
    return one;
  }
};

}  // namespace cpns::server
