# frozen_string_literal: true

# What a Sidekiq process loads: the jobs note what they were given.
require "sidekiq"
require "json"

class RemindJob
  include Sidekiq::Worker

  def perform(recipient, words)
    noted = JSON.generate("jid" => jid, "recipient" => recipient, "words" => words)
    Sidekiq.redis { |redis| redis.rpush("noted", noted) }
  end
end
