# House prices as scripts for Keras 2 have it: float64 data, k folds, 'val_mean_absolute_error'.
import numpy as np
from keras import layers, models
from keras.datasets import boston_housing

(train_data, train_targets), (test_data, test_targets) = boston_housing.load_data()
mean = train_data.mean(axis=0)
train_data -= mean
std = train_data.std(axis=0)
train_data /= std
test_data -= mean
test_data /= std


def build_model():
    model = models.Sequential()
    model.add(layers.Dense(64, activation='relu', input_shape=(train_data.shape[1],)))
    model.add(layers.Dense(64, activation='relu'))
    model.add(layers.Dense(1))
    model.compile(optimizer='rmsprop', loss='mse', metrics=['mae'])
    return model


k = 4
num_val_samples = len(train_data) // k
num_epochs = 100
all_scores = []
all_mae_histories = []
for i in range(k):
    begin, end = i * num_val_samples, (i + 1) * num_val_samples
    val_data, val_targets = train_data[begin:end], train_targets[begin:end]
    partial_data = np.concatenate([train_data[:begin], train_data[end:]], axis=0)
    partial_targets = np.concatenate([train_targets[:begin], train_targets[end:]], axis=0)
    model = build_model()
    history = model.fit(
        partial_data,
        partial_targets,
        validation_data=(val_data, val_targets),
        epochs=num_epochs,
        batch_size=1,
        verbose=0,
    )
    all_mae_histories.append(history.history['val_mean_absolute_error'])
    val_mse, val_mae = model.evaluate(val_data, val_targets, verbose=0)
    all_scores.append(val_mae)
average = [np.mean([x[i] for x in all_mae_histories]) for i in range(num_epochs)]
print('folds:', all_scores)
print('mean of the folds:', np.mean(all_scores), average[-1])

model = build_model()
model.fit(train_data, train_targets, epochs=80, batch_size=16, verbose=0)
test_mse_score, test_mae_score = model.evaluate(test_data, test_targets, verbose=0)
print('test mae:', test_mae_score)
