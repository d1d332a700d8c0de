# frozen_string_literal: true

# Reads a queue, or the scheduled jobs, with Sidekiq's own API, and prints each job as JSON.
require "sidekiq/api"
require "json"

jobs = ARGV[0] == "schedule" ? Sidekiq::ScheduledSet.new : Sidekiq::Queue.new(ARGV[0])
jobs.each do |job|
  puts JSON.generate(
    "jid" => job.jid, "class" => job.klass, "queue" => job.queue, "args" => job.args,
    "retry" => job["retry"], "created_at" => job.created_at.to_f,
    "enqueued_at" => job.item.key?("enqueued_at") ? job.enqueued_at.to_f : nil,
    "at" => job.respond_to?(:at) ? job.at.to_f : nil
  )
end
