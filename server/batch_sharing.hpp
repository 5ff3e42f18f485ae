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

namespace cpns::server {

/// CAF's work sharing wakes a worker for each job, with the lock of the queue held: the jobs of one write are sixty, and a
/// worker that wakes waits for the lock. Here a worker that sleeps is woken by one call if no other one is awake, or if more than
/// one job waits: a worker that is awake looks for the next job after each of its own, so none is left. A single job may
/// therefore wait for the turn of one actor, which never blocks. Idle workers cost nothing, as in work sharing. For
/// caf::scheduler::coordinator. [thread-safe]
class batch_sharing : public caf::policy::unprofiled {
 public:
  struct coordinator_data {
    explicit coordinator_data(caf::scheduler::abstract_coordinator* /*of*/) {}
    std::mutex lock;
    std::condition_variable cv;
    std::deque<caf::resumable*> queue;
    std::size_t asleep = 0, ended = 0;  ///< workers
    bool waking = false;                ///< a worker was notified, and does not run yet
  };
  struct worker_data {
    explicit worker_data(caf::scheduler::abstract_coordinator* /*of*/) {}
  };

  template <class Coordinator>
  void central_enqueue(Coordinator* to, caf::resumable* job) {
    auto& all = d(to);
    bool wakes = false;
    {
      const std::lock_guard lock(all.lock);
      all.queue.push_back(job);
      wakes = wakes_one_more(all, to->num_workers());
    }
    if (wakes) all.cv.notify_one();
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
    std::unique_lock lock(all.lock);
    while (all.queue.empty()) {
      ++all.asleep;
      all.cv.wait(lock);
      --all.asleep;
      all.waking = false;
    }
    auto* const job = all.queue.front();
    all.queue.pop_front();
    const bool wakes = wakes_one_more(all, by->parent()->num_workers());
    lock.unlock();
    if (wakes) all.cv.notify_one();
    return job;
  }

  /// A worker ends.
  template <class Worker>
  void before_shutdown(Worker* of) {
    auto& all = d(of->parent());
    bool wakes = false;
    {
      const std::lock_guard lock(all.lock);
      ++all.ended;
      wakes = wakes_one_more(all, of->parent()->num_workers());
    }
    if (wakes) all.cv.notify_one();
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
  /// Call with the lock held. True: notify one worker afterwards.
  static bool wakes_one_more(coordinator_data& all, std::size_t workers) {
    if (all.queue.empty() || all.asleep == 0 || all.waking) return false;
    const bool some_awake = all.asleep + all.ended < workers;
    return all.waking = !some_awake || all.queue.size() > 1;
  }
};

}  // namespace cpns::server
